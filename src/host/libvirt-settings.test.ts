import assert from 'node:assert/strict'
import { test } from 'node:test'
import { missingSettings, settingOf } from './libvirt-settings.ts'

const MEMFD = { mountPoint: '/mnt/guestmemfs', isCarveOut: false }
const DAX = { mountPoint: '/mnt/dax', isCarveOut: true }

test('a setting counts where it is no comment, and the last one does', () => {
  const conf = '#memory_backing_dir = "/a"\nmemory_backing_dir = "/b"\n  memory_backing_dir="/c" # why\n'
  assert.equal(settingOf(conf, 'memory_backing_dir'), '/c')
  assert.equal(settingOf('#memory_backing_dir = "/a"\n', 'memory_backing_dir'), undefined)
})

test('what is missing is named as it is to be typed, and nothing that is set', () => {
  const line = 'memory_backing_dir = "/mnt/guestmemfs"'
  assert.deepEqual(missingSettings('', [MEMFD]), [line])
  assert.deepEqual(missingSettings('memory_backing_dir = "/var/ram"\n', [MEMFD]), [line])
  assert.deepEqual(missingSettings(`${line}\n`, [MEMFD]), [])
  assert.deepEqual(missingSettings('memory_backing_dir = "/mnt/guestmemfs/below"\n', [MEMFD]), [])
  assert.deepEqual(missingSettings('memory_backing_dir = "/mnt/guestmemfs2"\n', [MEMFD]), [line])
  assert.deepEqual(missingSettings('', []), ['memory_backing_dir = "DIR"'])
})

test('a carve-out needs two more, which the defaults and a list over several lines do not have', () => {
  const lines = missingSettings('', [DAX])
  assert.deepEqual(lines, [
    'memory_backing_dir = "/mnt/dax"',
    'namespaces = []',
    'cgroup_controllers = [ "cpu", "memory", "blkio", "cpuset", "cpuacct" ]',
  ])
  assert.deepEqual(missingSettings(`${lines.join('\n')}\n`, [DAX]), [])
  const theirs = 'namespaces = [ "mount" ]\ncgroup_controllers = [ "cpu",\n  "devices" ]\n'
  assert.deepEqual(missingSettings(theirs, [DAX]), lines)
})

test('of several pools the one that is set counts', () => {
  assert.deepEqual(missingSettings('memory_backing_dir = "/mnt/guestmemfs"\n', [DAX, MEMFD]), [])
})
