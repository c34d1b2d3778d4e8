import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { MountWatch } from './mount-watch.ts'

const PROGRAM = `
  const { MountWatch } = await import('${new URL('./mount-watch.ts', import.meta.url)}')
  const { execFileSync } = await import('node:child_process')
  const { mkdtempSync, rmdirSync } = await import('node:fs')
  const folder = mkdtempSync('/tmp/guestmemfs-watch-')
  const watch = new MountWatch()
  const seen = [watch.hasChanged()]
  const run = (...words) => { execFileSync(words[0], words.slice(1)); seen.push(watch.hasChanged(), watch.hasChanged()) }
  run('mount', '-t', 'tmpfs', 'tmpfs', folder)
  run('mount', '-o', 'remount,noatime', folder)
  run('umount', folder)
  rmdirSync(folder)
  process.stdout.write(JSON.stringify(seen))`

test('a mount, a remount and an unmount are each noticed once', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, () => {
  assert.equal(new MountWatch().hasChanged(), false)
  // In a mount namespace of its own: whatever else this machine mounts meanwhile is not seen.
  const words = ['--mount', process.execPath, '--input-type=module', '-e', PROGRAM]
  const seen = JSON.parse(execFileSync('unshare', words, { encoding: 'utf8' }))
  assert.deepEqual(seen, [false, true, false, true, false, true, false])
})
