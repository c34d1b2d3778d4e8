/** Tests of when a device can be opened, by /dev/null and folders in place of sysfs and udev's. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { deviceKind, isReadyDevice } from './ready-device.ts'

test('a device is ready once its driver has made it, and udev, where it runs, has given it its owner', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ready-device-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const places = { sysfs: join(folder, 'sys'), udev: join(folder, 'udev') }
  const link = join(folder, 'null')
  symlinkSync('/dev/null', link)
  const isReady = () => [isReadyDevice('/dev/null', places), isReadyDevice(link, places)]

  assert.deepEqual(isReady(), [true, true], 'a static node: opening it loads its driver')
  mkdirSync(join(places.sysfs, 'dev/char/1:3'), { recursive: true })
  assert.deepEqual(isReady(), [true, true], 'no udev runs')
  mkdirSync(join(places.udev, 'data'), { recursive: true })
  writeFileSync(join(places.udev, 'control'), '')
  assert.deepEqual(isReady(), [false, false])
  writeFileSync(join(places.udev, 'data/c1:3'), '')
  assert.deepEqual(isReady(), [true, true])
})

test('what is missing, or is no device, is not ready', () => {
  for (const path of ['/dev/nothing/of/this/name', '/dev', '/proc/self/status']) {
    assert.equal(isReadyDevice(path), false, path)
    assert.equal(deviceKind(path), undefined, path)
  }
  assert.equal(deviceKind('/dev/null'), 'char')
})
