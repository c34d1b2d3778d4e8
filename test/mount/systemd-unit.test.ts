/** Tests that the systemd unit keeps a pool: through its keeper's death, parking, remounting, refusals. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cannotMount } from './support.ts'
import { cannotRunSystemd, startUnitHost } from './systemd-host.ts'

test('the unit keeps a pool', { skip: cannotMount || cannotRunSystemd }, async (t) => {
  const { folder, run, guestmemfs, good, until, show } = await startUnitHost(t)
  const mountPoint = join(folder, 'mnt')
  mkdirSync(mountPoint)

  const pool = 'kept'
  const service = `guestmemfs@${pool}.service`
  const mainPid = (): number => Number(show(pool, 'MainPID'))
  const stored = (): number => Number(show(pool, 'NFileDescriptorStore'))
  const isInactive = () => run('systemctl', 'is-active', service).output.trim() === 'inactive'

  await t.test('a refused mount says why, and leaves the unit inactive', async () => {
    const { status, output } = guestmemfs('mount', pool, join(folder, 'nowhere'))
    assert.equal(status, 1)
    assert.match(output, /does not exist/)
    await until('inactive', isInactive)
  })

  await t.test(
    'the keeper is the unit’s main process; killed, it is replaced and nothing is lost',
    async () => {
      assert.match(good('mount', pool, mountPoint, '-o', 'size=64M'), /new pool/)
      const first = mainPid()
      assert.ok(first > 1)
      assert.equal(run('sh', '-c', `echo here > ${mountPoint}/file`).status, 0)
      run('kill', '-9', String(first))
      await until('a new keeper', () => ![0, first].includes(mainPid()))
      assert.equal(run('cat', join(mountPoint, 'file')).output, 'here\n')
    },
  )

  const serverPid = (): number => JSON.parse(good('status', '--json', pool)).server.pid
  const isNew = (pids: readonly number[]) => () => ![0, ...pids].includes(mainPid())

  await t.test(
    'restarted, it has another keeper and the same server; stopped, the server goes on',
    async () => {
      const [keeper, server] = [mainPid(), serverPid()]
      assert.equal(run('systemctl', 'restart', service).status, 0)
      await until('a new keeper', isNew([keeper]))
      assert.equal(run('cat', join(mountPoint, 'file')).output, 'here\n')
      assert.equal(run('systemctl', 'stop', service).status, 0)
      assert.equal(run('cat', join(mountPoint, 'file')).output, 'here\n')
      assert.equal(run('systemctl', 'start', service).status, 0)
      await until('a keeper', isNew([keeper]))
      assert.notEqual(serverPid(), server, 'a new keeper starts a server of its own')
      assert.equal(run('cat', join(mountPoint, 'file')).output, 'here\n')
    },
  )

  await t.test('keeper and server killed at once: files, open files and guest RAM are back', async () => {
    const [keeper, server] = [mainPid(), serverPid()]
    const made = `cd ${mountPoint}; touch ram; truncate -s 4M ram; echo more >later; rm -f gone; echo gone >gone; rm gone`
    assert.equal(run('sh', '-ec', made).status, 0)
    run('kill', '-9', String(keeper), String(server))
    // `cat` waits for a server, which the unit starts.
    assert.equal(run('sh', '-c', `cat ${mountPoint}/file ${mountPoint}/later`).output, 'here\nmore\n')
    await until('a new keeper', isNew([keeper]))
    assert.notEqual(serverPid(), server)
    assert.equal(run('stat', '-c', '%s', join(mountPoint, 'ram')).output, '4194304\n')
    assert.equal(run('sh', '-ec', `echo again >${mountPoint}/again; rm ${mountPoint}/again`).status, 0)
    assert.equal(good('fsck', pool).length > 0, true)
  })

  await t.test('a request that is cut off does not keep the unit from taking over', async () => {
    const [keeper, request] = [mainPid(), `/run/guestmemfs/pools/${pool}.request`]
    assert.equal(run('sh', '-c', `printf '{"pool"' >${request}`).status, 0)
    run('kill', '-9', String(keeper))
    await until('a new keeper', isNew([keeper]))
    assert.equal(run('cat', join(mountPoint, 'file')).output, 'here\n')
    assert.equal(run('test', '-e', request).status, 1)
  })

  await t.test('a parked pool is mounted again with its files, also after a refusal in between', async () => {
    assert.match(good('umount', pool), /parked/)
    assert.match(guestmemfs('mount', pool, join(folder, 'nowhere')).output, /does not exist/)
    const parked = mainPid()
    assert.match(good('mount', pool, mountPoint), /found again/)
    await until('a new keeper', () => ![0, parked].includes(mainPid()))
    assert.equal(run('cat', join(mountPoint, 'file')).output, 'here\n')
  })

  await t.test('a parked pool whose keeper is killed is parked again', async () => {
    assert.match(good('umount', pool), /parked/)
    const parked = mainPid()
    run('kill', '-9', String(parked))
    await until('a new keeper', isNew([parked]))
    assert.match(good('mount', pool, mountPoint), /found again/)
    assert.equal(run('cat', join(mountPoint, 'file')).output, 'here\n')
  })

  const record = `/run/guestmemfs/pools/${pool}.json`

  await t.test(
    'the record names dead processes, the keeper dies: the living server, not the store',
    async () => {
      run('cp', record, '/run/former')
      const [keeper, former] = [mainPid(), serverPid()]
      run('kill', '-9', String(former))
      assert.equal(run('sh', '-c', `echo later >${mountPoint}/written`).status, 0)
      const server = serverPid()
      assert.notEqual(server, former)
      // As if the keeper could not write the record when it started the server again.
      run('cp', '/run/former', record)
      run('kill', '-9', String(keeper))
      await until('a new keeper', isNew([keeper]))
      assert.equal(run('cat', join(mountPoint, 'written')).output, 'later\n')
      await until('the former server has ended', () => run('test', '-e', `/proc/${server}/exe`).status !== 0)
      assert.notEqual(serverPid(), server)
    },
  )

  await t.test('without a record, keeper and server dead: the unit finds the pool in the store', async () => {
    const [keeper, server] = [mainPid(), serverPid()]
    run('rm', record)
    run('kill', '-9', String(keeper), String(server))
    assert.equal(run('cat', join(mountPoint, 'written')).output, 'later\n')
    await until('a new keeper', isNew([keeper]))
    assert.equal(serverPid() === server, false)
    good('umount', pool)
    run('rm', record)
    const parked = mainPid()
    run('kill', '-9', String(parked))
    await until('a keeper', isNew([parked]))
    assert.match(good('mount', pool, mountPoint), /found again/)
    assert.equal(run('cat', join(mountPoint, 'written')).output, 'later\n')
  })

  await t.test('a discarded pool ends its unit', async () => {
    assert.ok(stored() > 0)
    good('umount', '--discard', pool)
    await until('inactive', isInactive)
    assert.equal(stored(), 0, 'the service manager holds memory that no process can reach')
    assert.equal(good('list').trim(), 'no pools')
  })
})
