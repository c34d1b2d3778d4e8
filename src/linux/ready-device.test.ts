/**
 * Tests of when a device can be opened, by nodes of this machine and folders in place of sysfs and udev's.
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { deviceAt, isReadyDevice } from './ready-device.ts'

function places(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'ready-device-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return { folder, sysfs: join(folder, 'sys'), udev: join(folder, 'udev') }
}

function runUdev(udev: string): void {
  mkdirSync(join(udev, 'data'), { recursive: true })
  writeFileSync(join(udev, 'control'), '')
}

test('a device is ready once its driver has made it, and udev, where it runs, has given it its owner', (t) => {
  const { folder, ...at } = places(t)
  const link = join(folder, 'null')
  symlinkSync('/dev/null', link)
  const isReady = () => ['/dev/null', link].map((path) => isReadyDevice({ path, sectors: null }, at))

  assert.deepEqual(isReady(), [true, true], 'a static node: opening it loads its driver')
  mkdirSync(join(at.sysfs, 'dev/char/1:3'), { recursive: true })
  assert.deepEqual(isReady(), [true, true], 'no udev runs')
  runUdev(at.udev)
  assert.deepEqual(isReady(), [false, false])
  writeFileSync(join(at.udev, 'data/c1:3'), '')
  assert.deepEqual(isReady(), [true, true])
})

test('what is missing, or is no device, is not ready', () => {
  for (const path of ['/dev/nothing/of/this/name', '/dev', '/proc/self/status', `/dev/${'x'.repeat(5000)}`]) {
    assert.equal(isReadyDevice({ path, sectors: null }), false, path)
    assert.equal(deviceAt(path), undefined, path)
  }
  assert.deepEqual(deviceAt('/dev/null'), { kind: 'char', number: '1:3', sectors: null })
})

const disk = readdirSync('/dev').find((name) => deviceAt(`/dev/${name}`)?.kind === 'block')

test('a block device is ready when it has as many sectors as it had', {
  skip: disk === undefined && 'needs a block device in /dev',
}, (t) => {
  const path = `/dev/${disk}`
  const { sysfs, udev } = places(t)
  const at = { sysfs, udev }
  const sysfsFolder = join(sysfs, 'dev/block', deviceAt(path)?.number ?? '')
  const isReady = (sectors: number) => isReadyDevice({ path, sectors }, at)
  assert.equal(isReady(2048), false, 'no driver has made it')
  mkdirSync(sysfsFolder, { recursive: true })
  writeFileSync(join(sysfsFolder, 'size'), '0\n')
  assert.equal(isReady(2048), false, 'it is still to be assembled')
  writeFileSync(join(sysfsFolder, 'size'), '2048\n')
  assert.equal(isReady(2048), true)
  assert.equal(isReady(4096), false)
  runUdev(udev)
  assert.equal(isReady(2048), false)
})
