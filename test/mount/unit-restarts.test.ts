/**
 * Tests that the operator's commands on the unit leave the pool as it is: isolate another target, restart at
 * any moment, while a process writes and reads.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomFrom } from '../../src/fs/image/testing/random.ts'
import { CLI, cannotMount } from './support.ts'
import { cannotRunSystemd, startUnitHost } from './systemd-host.ts'

const options = { skip: cannotMount || cannotRunSystemd, timeout: 300_000 }
const ROUNDS = 15

const RESCUE = `[Unit]
DefaultDependencies=no
AllowIsolate=yes
`
const OTHER = `[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/sleep 1000
`
/** Writes a number and reads it back until /run/stop exists; each wrong number is a line of /run/wrong. */
const work = (mnt: string): string => `i=0
while [ ! -e /run/stop ]; do
  i=$((i + 1))
  echo $i >${mnt}/number && read -r n <${mnt}/number && [ "$n" = "$i" ] || echo "$i: $n" >>/run/wrong
done
echo $i >/run/done`

test('a target is isolated, and the unit restarted at any moment', options, async (t) => {
  const { folder, run, good, until, show } = await startUnitHost(t, {
    'rescue.target': RESCUE,
    'other.service': OTHER,
  })
  const [pool, mnt] = ['kept', join(folder, 'mnt')]
  const service = `guestmemfs@${pool}.service`
  mkdirSync(mnt)
  good('mount', pool, mnt, '-o', 'size=64M')
  assert.equal(run('sh', '-ec', `echo here >${mnt}/file`).status, 0)
  const mainPid = (): number => Number(show(pool, 'MainPID'))
  const serverPid = (): number => JSON.parse(good('status', '--json', pool)).server.pid
  const isWhole = (): void => {
    assert.equal(run('cat', join(mnt, 'file')).output, 'here\n')
    assert.match(good('fsck', pool), /: (clean|note )/)
  }

  await t.test('systemctl isolate ends other services, and neither keeper, server nor mount', async () => {
    run('systemctl', 'start', 'other.service')
    const before = [mainPid(), serverPid()]
    assert.equal(run('systemctl', 'isolate', 'rescue.target').status, 0)
    await until('other services end', () => run('systemctl', 'is-active', 'other.service').status !== 0)
    assert.deepEqual([mainPid(), serverPid()], before)
    assert.equal(show(pool, 'ActiveState'), 'active')
    isWhole()
  })

  await t.test('a reload that nothing has asked for does nothing, and says so', async () => {
    const before = [mainPid(), serverPid()]
    const reloaded = run('systemctl', 'reload', service)
    assert.deepEqual([reloaded.status, reloaded.output], [0, ''])
    // Longer than the unit needed for its end.
    await sleep(1000)
    assert.deepEqual([mainPid(), serverPid(), show(pool, 'ActiveState')], [...before, 'active'])
    isWhole()
    const said = run('sh', '-c', `GUESTMEMFS_UNIT=${pool} '${process.execPath}' '${CLI}' keep ${pool} 2>&1`)
    assert.equal(said.status, 0)
    assert.match(said.output, /no command has asked to mount it, and it has its keeper: nothing was done/)
  })

  await t.test('restarts at any moment', async (t) => {
    const seed = Date.now() & 0x7fffffff
    t.diagnostic(`seed ${seed}`)
    const { below } = randomFrom(seed)
    run('sh', '-c', `( ${work(mnt)} ) </dev/null >/dev/null 2>&1 &`)
    await until('work has begun', () => run('test', '-s', `${mnt}/number`).status === 0)
    const kill = (...pids: number[]) => run('kill', '-9', ...pids.map(String))
    const ways: Record<string, () => unknown> = {
      restart: () => run('systemctl', 'restart', service),
      'stop and start': () => run('sh', '-c', `systemctl stop ${service}; systemctl start ${service}`),
      'two restarts at once': () =>
        run('sh', '-c', `systemctl restart ${service} & systemctl restart ${service}; wait`),
      'restart while the server is started again': () => {
        kill(serverPid())
        return run('systemctl', 'restart', service)
      },
      'restart while the keeper is started again': () => {
        kill(mainPid())
        return run('systemctl', 'restart', service)
      },
      'restart while both are': () => {
        kill(mainPid(), serverPid())
        return run('systemctl', 'restart', service)
      },
      'kill of the unit': () => run('systemctl', 'kill', '--signal=KILL', service),
    }
    const names = Object.keys(ways)
    for (let round = 0; round < ROUNDS; round++) {
      // Each at least twice, in any order.
      const name = names[round < 2 * names.length ? round % names.length : below(names.length)] as string
      await sleep(below(400))
      ways[name]?.()
      await until(`${name}: a keeper that the unit follows`, () => {
        const pid = mainPid()
        return pid > 0 && run('test', '-e', `/proc/${pid}/exe`).status === 0
      })
      isWhole()
    }
    run('touch', '/run/stop')
    await until('work ends', () => run('test', '-e', '/run/done').status === 0)
    assert.equal(run('cat', '/run/wrong').status, 1, run('cat', '/run/wrong').output)
    t.diagnostic(`${run('cat', '/run/done').output.trim()} times written and read`)
    isWhole()
    run('rm', '-f', '/run/stop', '/run/done')
  })

  await t.test('a restart while it is parked leaves it parked, with its files', async () => {
    assert.match(good('umount', pool), /parked/)
    run('systemctl', 'restart', '--no-block', service)
    await sleep(500)
    assert.match(good('mount', pool, mnt), /found again/)
    isWhole()
  })
  good('umount', '--discard', pool)
})
