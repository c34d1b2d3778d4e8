/** Tests of which open files of a QEMU nothing explains. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unexplained } from './open-descriptors.ts'

const files = (...paths: string[]) => paths.map((path, fd) => ({ fd, path, interfaceName: undefined }))

test('files of the line and of the machine are explained, by whatever path QEMU has them', () => {
  const open = files(
    '/dev/null',
    '/var/log/out',
    '/var/log/out',
    '/srv/images/a.qcow2',
    '/var/tmp/vl.AB (deleted)',
  )
  assert.deepEqual(unexplained(open, ['file=a.qcow2,id=d0', 'disk: raw /var/tmp/vl.AB, backing none']), [])
})

test('what is no file of a machine is left out', () => {
  const open = files(
    'a',
    'b',
    'c',
    '/dev/kvm',
    'socket:[17]',
    '/memfd:ram (deleted)',
    '/run/guestmemfs/vm/a/lock',
  )
  assert.deepEqual(unexplained(open, []), [])
})

test('another one is named once, also where it has no name any more', () => {
  const open = files('/in', '/out', '/err', '/var/log/qemu.log', '/var/log/qemu.log', '/tmp/gone (deleted)')
  assert.deepEqual(unexplained(open, ['-name', 'x']), ['/tmp/gone', '/var/log/qemu.log'])
})
