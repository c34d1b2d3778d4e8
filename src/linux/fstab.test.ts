import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMountedAtBoot, isMountedLate, isPoolLine, parseFstab, readFstab } from './fstab.ts'

test('lines of fstab are read with spaces in their paths, without comments and what is no line', () => {
  const text = `# a comment
/dev/vda1 / ext4 rw 0 1

  pool\t/mnt/a\\040b\tfuse.guestmemfs   store=dax,nofail 0 0
swap
host:/x /mnt/caf\xc3\xa9 nfs
`
  assert.deepEqual(parseFstab(text), [
    { source: '/dev/vda1', directory: '/', type: 'ext4', options: 'rw' },
    { source: 'pool', directory: '/mnt/a b', type: 'fuse.guestmemfs', options: 'store=dax,nofail' },
    { source: 'host:/x', directory: '/mnt/café', type: 'nfs', options: '' },
  ])
  assert.deepEqual(readFstab('/nowhere/fstab'), [])
})

test('pools, and mounts that wait for a network or for someone who asks, are told by type and options', () => {
  const line = (type: string, options = 'defaults') => ({ source: 'a', directory: '/a', type, options })
  assert.deepEqual(
    ['guestmemfs', 'fuse.guestmemfs', 'fuse.guestmemfs2', 'tmpfs'].map((type) => isPoolLine(line(type))),
    [true, true, false, false],
  )
  for (const late of [line('nfs4'), line('fuse.sshfs'), line('ext4', 'rw,_netdev'), line('xfs', 'noauto')])
    assert.ok(isMountedLate(late), JSON.stringify(late))
  for (const early of [line('ext4'), line('tmpfs', 'nofail'), line('xfs', 'x-noauto')])
    assert.ok(!isMountedLate(early), JSON.stringify(early))
})

test('a line is mounted at boot unless it has noauto, and with that too where systemd is told to', () => {
  const atBoot = ['', 'defaults', 'rw,_netdev', 'x-noauto', 'noauto,x-systemd.automount', 'nofail,noautos']
  for (const options of atBoot) assert.ok(isMountedAtBoot({ options }), options)
  for (const options of ['noauto', 'rw,noauto', 'noauto,nofail', 'noauto,x-gvfs-show'])
    assert.ok(!isMountedAtBoot({ options }), options)
})
