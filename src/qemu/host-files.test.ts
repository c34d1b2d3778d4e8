/** Tests of what a guest needs of its host, by this process in place of a QEMU and a table of mounts. */
import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { test } from 'node:test'
import { parseMountInfo } from '../linux/mounts.ts'
import { missingHostFiles, readHostFiles } from './host-files.ts'

const TABLE = parseMountInfo(
  ['/', '/dev', '/dev/shm', '/srv', '/opt', '/mnt/pool', '/mnt/other', '/proc', '/var']
    .map((target) => `1 0 8:1 / ${target} rw - ext4 a rw`)
    .join('\n'),
)
const read = (...argv: string[]) => readHostFiles(0, { argv, cwd: '/', mountPoint: '/mnt/pool' }, TABLE)

test('mounts are those that the line names a path in, however it is written, and its directory', () => {
  assert.deepEqual(read('/usr/bin/qemu', '-m', '1G', '-object', 'x,mem-path=/mnt/pool/a').mounts, [])
  for (const word of [
    '/srv/disk',
    'file=/srv/disk,if=virtio',
    '{"driver":"qcow2","file":{"driver":"file","filename":"/srv/disk"}}',
    'unix:/srv/socket,server',
    'id=a,path=/srv',
  ])
    assert.deepEqual(read('/usr/bin/qemu', word).mounts, ['/srv'], word)
  assert.deepEqual(read('/opt/qemu', '/srv/a', '/srvx', '/mnt/other/disk').mounts, [
    '/mnt/other',
    '/opt',
    '/srv',
  ])
  const inFolder = readHostFiles(0, { argv: ['/bin/q', '-hda', 'disk'], cwd: '/srv', mountPoint: '/' }, TABLE)
  assert.deepEqual(inFolder.mounts, ['/srv'])
})

test('devices are those that the line names in /dev itself', () => {
  const { devices, mounts } = read('/bin/q', 'file=/dev/null', '/dev/null', '/dev/shm/null', '/dev/none')
  assert.deepEqual([devices, mounts], [[{ path: '/dev/null', sectors: null }], ['/dev', '/dev/shm']])
  // No path can be as long.
  assert.deepEqual(read('/bin/q', `/dev/${'x'.repeat(5000)}`).devices, [])
})

test('what QEMU has open counts as well, but for what has no name', (t) => {
  const fd = openSync('/proc/self/status', 'r')
  t.after(() => closeSync(fd))
  const own = readHostFiles(process.pid, { argv: ['/bin/q'], cwd: '/', mountPoint: '/x' }, TABLE)
  assert.ok(own.mounts.includes('/proc'), String(own.mounts))
  assert.ok(own.mounts.every((mount) => TABLE.some(({ target }) => target === mount)))
})

test('what is missing is named, and what is there is not', () => {
  const gone = { path: '/dev/nothing/of/this/name', sectors: null }
  // No character device has sectors.
  const changed = { path: '/dev/null', sectors: 8 }
  const files = { mounts: ['/proc', '/nowhere/mounted'], devices: [gone, changed] }
  assert.deepEqual(missingHostFiles(files), { mounts: ['/nowhere/mounted'], devices: [gone, changed] })
  assert.deepEqual(missingHostFiles({ mounts: ['/', '/proc'], devices: [] }), { mounts: [], devices: [] })
})
