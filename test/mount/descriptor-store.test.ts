/**
 * Tests of what happens to a pool at the limits of the service manager's descriptor store: more files than it
 * takes, and a store without a pool.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { CLI, cannotMount } from './support.ts'
import { cannotRunSystemd, startUnitHost } from './systemd-host.ts'

const options = { skip: cannotMount || cannotRunSystemd, timeout: 120_000 }
const PUT = fileURLToPath(new URL('put-into-store.ts', import.meta.url))

const FILES = 40
/** So many that objects made ahead are used up, and new ones get the numbers of those that went. */
const MORE = 180
/** The server makes memory objects ahead, for files that come after these. */
const LAST = MORE + 8
/** From version 254 on systemd passes the limit by itself. */
const LIMIT = `[Service]
Environment=FDSTORE=40
FileDescriptorStoreMax=40
`

test('more files than the store takes: warned of before, counted, and lost by name', options, async (t) => {
  const { folder, run, good, until, show } = await startUnitHost(t, {
    'guestmemfs@.service.d/limit.conf': LIMIT,
  })
  const said = (...words: string[]) =>
    run('sh', '-c', 'exec "$0" "$@" 2>&1', process.execPath, CLI, ...words).output
  const [pool, mnt] = ['small', join(folder, 'mnt')]
  mkdirSync(mnt)
  good('mount', pool, mnt, '-o', 'size=1G')
  const health = () => JSON.parse(good('status', '--json', pool)).health
  const write = (from: number, to: number) =>
    run('sh', '-ec', `for i in $(seq ${from} ${to}); do echo "file $i" >${mnt}/$i; done`)

  assert.equal(write(1, 10).status, 0)
  assert.deepEqual([health().unstoredFiles, health().mostStoredFiles], [0, 24])
  assert.match(said('status', pool), /^health +good$/m)
  // The server makes memory objects ahead, in batches: they count.
  for (let file = 11; health().storedFiles < 20; file++) assert.equal(write(file, file).status, 0)
  const near = said('status', pool)
  assert.match(
    near,
    health().unstoredFiles > 0 ? /are not in the service manager/ : /store has \d+ files of 24/,
  )

  assert.equal(write(11, FILES).status, 0, 'no file is refused for want of room in the store')
  const { storedFiles, unstoredFiles } = health()
  assert.equal(storedFiles, 24)
  assert.ok(unstoredFiles >= FILES - 24, `${unstoredFiles}`)
  assert.match(said('status', pool), new RegExp(`${unstoredFiles} files are not in the service`))
  assert.match(said('doctor'), new RegExp(`store of pool ${pool} +24 of 24 files`))
  await until('the manager has as many', () => Number(show(pool, 'NFileDescriptorStore')) === 24 + 4)

  await t.test('a stored file that is deleted leaves its place to one that has none', async () => {
    run('sh', '-ec', `rm ${mnt}/1 ${mnt}/2`)
    await until('two more are stored', () => health().unstoredFiles === unstoredFiles - 2)
    assert.equal(health().storedFiles, 24)
  })

  await t.test('another keeper: the manager has what it counts, and no more', async () => {
    // Numbers of those that go come before all others in the table of objects.
    assert.equal(run('sh', '-ec', `cd ${mnt}; rm $(seq 3 18)`).status, 0)
    assert.equal(write(FILES + 1, MORE).status, 0)
    const isExact = () => health().storedFiles === 24 && Number(show(pool, 'NFileDescriptorStore')) === 24 + 4
    await until('the manager has as many as are counted', isExact)
    const keeper = Number(show(pool, 'MainPID'))
    run('kill', '-9', String(keeper))
    await until('a new keeper', () => ![0, keeper].includes(Number(show(pool, 'MainPID'))))
    // What it sends is read within moments: a store that has too much now keeps it.
    await sleep(1000)
    await until('the same after a takeover', isExact)
    good('umount', pool)
    assert.match(good('mount', pool, mnt), /found again/)
    await sleep(1000)
    await until('the same after a park and a mount', isExact)
  })

  await t.test('both die: what was stored is there, the rest is lost by name, nothing is wrong', async () => {
    assert.equal(write(MORE + 1, LAST).status, 0)
    const keeper = Number(show(pool, 'MainPID'))
    run('kill', '-9', String(keeper), String(JSON.parse(good('status', '--json', pool)).server.pid))
    await until('a new keeper', () => ![0, keeper].includes(Number(show(pool, 'MainPID'))))
    const { output } = run('sh', '-c', `for i in $(seq 19 ${LAST}); do cat ${mnt}/$i 2>&1; done`)
    const lines = output.trim().split('\n')
    const whole = lines.filter((line) => /^file \d+$/.test(line)).length
    const lost = lines.filter((line) => line.endsWith('Input/output error')).length
    assert.equal(whole + lost, LAST - 18, output)
    assert.ok(whole >= 10 && lost >= 10, `${whole} whole, ${lost} lost`)
    assert.equal(health().lostFiles, lost)
    assert.equal(run('sh', '-ec', `rm ${mnt}/*; echo new >${mnt}/new; cat ${mnt}/new`).output, 'new\n')
    await until('nothing of what is gone stays there', () => {
      const { storedFiles, unstoredFiles: rest } = health()
      return rest === 0 && Number(show(pool, 'NFileDescriptorStore')) === storedFiles + 4
    })
  })

  await t.test('new files get the numbers of lost ones, and are there after a server died', async () => {
    // More than were there: some get numbers of objects that were made ahead, and lost without a file.
    const files = LAST + FILES
    assert.equal(write(1, files).status, 0)
    const { server } = JSON.parse(good('status', '--json', pool))
    run('kill', '-9', String(server.pid))
    const { output } = run('sh', '-c', `for i in $(seq 1 ${files}); do cat ${mnt}/$i 2>&1; done`)
    const all = Array.from({ length: files }, (_, index) => `file ${index + 1}`)
    assert.deepEqual(output.trim().split('\n'), all)
    assert.equal(health().lostFiles, 0)
  })
  good('umount', '--discard', pool)
})

/** As systemd 261 and newer has it after a kexec: memory without names, and no connection. */
const NO_POOL = `[Service]
ExecCondition=
ExecCondition=/bin/sh -c '[ ! -e /run/no-pool ] || exec "$0" "$@"' ${process.execPath} CLI keep --check %i
ExecStart=
ExecStart=/bin/sh -c '[ -e /run/no-pool ] && exec "$0" "$2" keep %i 2>>/run/said; touch /run/no-pool; exec "$0" "$1" table image memory-1 memory-2' ${process.execPath} ${PUT} CLI
`

test(
  'a store that holds no pool ends the unit with one line, and does not hinder a mount',
  options,
  async (t) => {
    const { folder, run, good, until, show } = await startUnitHost(t, {
      'guestmemfs@odd.service.d/no-pool.conf': NO_POOL.replaceAll('CLI', CLI),
    })
    // Without a journal, the unit writes its messages there.
    const said = () => run('cat', '/run/said').output
    const lines = () => [...said().matchAll(/nothing is left without a keeper/g)].length
    run('systemctl', 'start', 'guestmemfs@odd.service')
    await until('it was started again', () => lines() > 0)
    await until('it rests', () => ['inactive', 'failed'].includes(show('odd', 'ActiveState')))
    // systemd would start it again after 100 ms.
    await sleep(3000)
    assert.equal(lines(), 1, said())
    assert.match(said(), /what the service manager has in its store \(\d+ descriptors\) is no pool/)
    assert.ok(['inactive', 'failed'].includes(show('odd', 'ActiveState')))

    const mnt = join(folder, 'mnt')
    mkdirSync(mnt)
    assert.match(good('mount', 'odd', mnt, '-o', 'size=64M'), /new pool/)
    assert.equal(run('sh', '-ec', `echo here >${mnt}/file; cat ${mnt}/file`).output, 'here\n')
    good('umount', '--discard', 'odd')
  },
)

/** Time to look at a pool that the service manager alone has. */
const LATE_RESTART = `[Service]
RestartSec=15s
`

test(
  'umount keeps a pool that the service manager alone holds, beside those of others',
  options,
  async (t) => {
    const { folder, run, good, until, show } = await startUnitHost(t, {
      'guestmemfs@.service.d/late.conf': LATE_RESTART,
    })
    const pools = ['first', 'second'] as const
    for (const pool of pools) {
      mkdirSync(join(folder, pool))
      good('mount', pool, join(folder, pool), '-o', 'size=64M')
      assert.equal(run('sh', '-ec', `echo of ${pool} >${join(folder, pool)}/file`).status, 0)
    }
    // The manager has one process of descriptors: the image of the second pool is behind that of the first.
    for (const pool of pools) {
      const health = () => JSON.parse(good('status', '--json', pool)).health
      await until('the manager has the file', () => health().storedFiles > 0 && health().unstoredFiles === 0)
      const { server } = JSON.parse(good('status', '--json', pool))
      const pids = [show(pool, 'MainPID'), String(server.pid)]
      assert.equal(run('kill', '-9', ...pids).status, 0)
      await until('both are gone', () => pids.every((pid) => run('kill', '-0', pid).status !== 0))
      const refused = run('sh', '-c', 'exec "$0" "$@" 2>&1', process.execPath, CLI, 'umount', pool)
      assert.match(
        refused.output,
        /have died, and process 1 \(\S+\) holds its memory: mount it again, or discard/,
      )
      assert.equal(refused.status, 1)
    }
    const isBack = (pool: string) => run('systemctl', 'is-active', `guestmemfs@${pool}.service`).status === 0
    // A start that is asked for waits for the pause as well.
    await sleep(8000)
    for (const pool of pools) {
      await until(`${pool} is back`, () => isBack(pool))
      assert.equal(run('cat', join(folder, pool, 'file')).output, `of ${pool}\n`)
    }
  },
)
