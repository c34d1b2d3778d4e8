/**
 * Units of installed versions: a unit's keeper stays in the version that it was started from, whichever is
 * current, and a restart of the unit moves the pool to the current one.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { formerTree, Installation, makePackage } from './installation.ts'
import { cannotMount } from './support.ts'
import { cannotRunSystemd, startSystemd, writeTarget } from './systemd-host.ts'

const POOL = 'versions'
const SERVICE = `guestmemfs@${POOL}.service`

test('a unit runs what is current when it starts', {
  skip: cannotMount || cannotRunSystemd,
  timeout: 180_000,
}, async (t) => {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'unit-versions-')))
  const [units, mountPoint] = [join(folder, 'units'), join(folder, 'mnt')]
  for (const path of [units, mountPoint]) fs.mkdirSync(path)
  writeTarget(units)
  const installation = new Installation(folder)
  const A = await installation.install(process.execPath, join(formerTree(t).folder, 'src/cli.ts'))
  const unit = join(installation.prefix, 'etc/systemd/system/guestmemfs@.service')
  fs.cpSync(unit, join(units, 'guestmemfs@.service'))
  const { run, stop } = await startSystemd(folder, units)
  t.after(async () => {
    await stop()
    fs.rmSync(folder, { recursive: true })
  })
  const guestmemfs = (...words: string[]): string => {
    const { status, output } = run(installation.launcher, ...words)
    assert.equal(status, 0, output)
    return output
  }
  const mainPid = () => Number(run('systemctl', 'show', '-P', 'MainPID', SERVICE).output)
  const serverPid = (): number => JSON.parse(guestmemfs('status', '--json', POOL)).server.pid
  const versionOf = (pid: number): string =>
    run('readlink', `/proc/${pid}/exe`)
      .output.trim()
      .replace(/\/bin\/node$/, '')
  const isWhole = () => assert.equal(run('cat', join(mountPoint, 'file')).output, 'here\n')
  const until = async (what: string, holds: () => boolean): Promise<void> => {
    // A unit that was refused waits for up to 20 s before it tries again.
    for (let wait = 0; !holds(); wait += 1) {
      assert.ok(wait < 400, `${what}: not within 40 s\n${fs.readFileSync(join(folder, 'console'), 'utf8')}`)
      await sleep(100)
    }
  }
  const runsIn = (version: string) =>
    assert.deepEqual([mainPid(), serverPid()].map(versionOf), [version, version])

  guestmemfs('mount', POOL, mountPoint, '-o', 'size=64M')
  assert.equal(
    run('sh', '-ec', `cd ${mountPoint}; echo here >file; for i in $(seq 20); do echo $i >f$i; done`).status,
    0,
  )
  runsIn(A)
  const B = await installation.install(process.execPath, await makePackage(join(folder, 'package')))

  await t.test('its server killed, it starts one of its own', async () => {
    const server = serverPid()
    run('kill', '-9', String(server))
    isWhole()
    await until('another server', () => serverPid() !== server)
    runsIn(A)
  })

  await t.test('restarted, it is of what is current', async () => {
    const keeper = mainPid()
    assert.equal(run('systemctl', 'restart', SERVICE).status, 0)
    await until('another keeper', () => ![0, keeper].includes(mainPid()))
    isWhole()
    runsIn(B)
  })

  await t.test('keeper and server killed at once: what is current finds all of it in the store', async () => {
    assert.equal(await installation.install(join(A, 'guestmemfs')), A)
    const [keeper, server] = [mainPid(), serverPid()]
    run('kill', '-9', String(keeper), String(server))
    isWhole()
    await until('another keeper', () => ![0, keeper].includes(mainPid()))
    runsIn(A)
    assert.equal(run('cat', join(mountPoint, 'f20')).output, '20\n')
  })

  await t.test('upgraded under B, it is refused by A, and goes on under B', async () => {
    assert.equal(await installation.install(join(B, 'guestmemfs')), B)
    let keeper = mainPid()
    assert.equal(run('systemctl', 'restart', SERVICE).status, 0)
    await until('another keeper', () => ![0, keeper].includes(mainPid()))
    assert.match(guestmemfs('upgrade', POOL), /image format 1 → 2/)
    isWhole()
    assert.equal(await installation.install(join(A, 'guestmemfs')), A)
    const server = serverPid()
    keeper = mainPid()
    run('systemctl', 'restart', SERVICE)
    isWhole()
    assert.equal(serverPid(), server)
    assert.equal(await installation.install(join(B, 'guestmemfs')), B)
    await until(
      'a keeper',
      () => ![0, keeper].includes(mainPid()) && versionOf(mainPid()) === B && serverPid() !== server,
    )
    isWhole()
    runsIn(B)
  })
  guestmemfs('umount', '--discard', POOL)
})
