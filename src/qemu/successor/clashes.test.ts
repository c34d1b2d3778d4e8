import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clashesOf, withoutForwards } from './clashes.ts'

/** Of a QEMU whose standard input is a file, not /dev/null: this process may have any. */
const clashes = (...words: string[]): string[] =>
  clashesOf(['qemu-system-x86_64', '-display', 'none', ...words], 0)

test('what one process alone can have is named, as the line has it', () => {
  for (const words of [
    ['-netdev', 'tap,id=n0,ifname=tap0,script=no'],
    ['-netdev', 'stream,id=n0,server=on,addr.type=unix,addr.path=/x'],
    ['-netdev', 'user,id=n0,guestfwd=tcp:10.0.2.100:1-cmd:cat'],
    // QEMU does not tell these back in the form in which they are set.
    ['-netdev', 'user,id=n0,hostfwd=tcp:[::1]:22-:22'],
    ['-netdev', '{"type":"user","id":"n0","hostfwd":[{"str":"tcp::22-:22"}]}'],
    ['-chardev', 'socket,id=c0,path=/run/c,server=on,wait=off'],
    ['-chardev', 'file,id=c0,path=/var/log/c'],
    ['-chardev', 'null,id=c0,logfile=/var/log/c'],
    ['-chardev', 'stdio,id=c0'],
    ['-serial', 'pty'],
    ['-monitor', 'unix:/run/m,server'],
    ['-vnc', ':1'],
    ['-pidfile', '/run/q.pid'],
    ['-D', '/var/log/q'],
    ['-tpmdev', 'passthrough,id=tpm0,path=/dev/tpm0'],
    ['-audiodev', 'alsa,id=a0'],
    ['-device', 'vfio-pci,host=01:00.0,id=nic0'],
    ['-device', '{"driver":"vfio-pci","host":"0000:01:00.0"}'],
  ])
    assert.deepEqual(clashes(...words), [words.join(' ')])
  assert.match(clashesOf(['qemu-system-x86_64', '-nodefaults'], 0).join(), /without -display/)
})

test('what two processes can have is no clash', () => {
  for (const words of [
    ['-netdev', 'user,id=n0,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::53-10.0.2.15:53'],
    ['-netdev', 'hubport,id=n0,hubid=1'],
    ['-chardev', 'file,id=c0,path=/var/log/c,append=on', '-serial', 'chardev:c0'],
    ['-chardev', 'null,id=c0,logfile=/var/log/c,logappend=on'],
    [
      '-chardev',
      'socket,id=guestmemfs-qmp,fd=3,server=on,wait=off',
      '-mon',
      'chardev=guestmemfs-qmp,mode=control',
    ],
    ['-serial', 'none', '-monitor', 'none', '-vnc', 'none'],
    ['-blockdev', 'driver=qcow2,node-name=d,file.driver=file,file.filename=/d.qcow2'],
    ['-audiodev', 'none,id=a0'],
    ['-object', 'iommufd,id=iommufd0', '-device', 'virtio-net-pci,id=vfio-pci'],
  ])
    assert.deepEqual(clashes(...words), [], words.join(' '))
})

test('the line of a successor has no forwards, and all else as it was', () => {
  const line = [
    ...['qemu-system-x86_64', '-netdev', 'user,id=n0,hostfwd=tcp::2222-:22,restrict=on,hostfwd=udp::53-:53'],
    ...['-netdev', 'user,id=n1', '-device', 'virtio-net-pci,netdev=n0'],
  ]
  assert.deepEqual(withoutForwards(line), line.with(2, 'user,id=n0,restrict=on'))
})
