import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommandLine } from '../command-line.ts'
import { trialLine } from './trial-line.ts'

const obstaclesOf = (...words: string[]): readonly string[] =>
  trialLine(parseCommandLine(['qemu-system-x86_64', '-nodefaults', ...words]), 'pc-q35-10.0').obstacles

test('an image that only one process can open is not tried, however the line names it', () => {
  for (const [option, value] of [
    ['drive', 'if=none,id=d,file=nbd:unix:/run/nbd.sock'],
    ['drive', 'file=nbd+unix:///disk?socket=/run/nbd.sock,format=raw'],
    ['drive', 'file.driver=nvme,file.device=0000:01:00.0,file.namespace=1'],
    ['blockdev', 'driver=qcow2,node-name=d,file.driver=https,file.url=https://host/d'],
    [
      'blockdev',
      '{"driver": "raw", "node-name": "d", "file": {"driver": "nvme-io_uring", "path": "/dev/ng0n1"}}',
    ],
    ['blockdev', '{"driver":"virtio-blk-vhost-user","node-name":"d","path":"/run/s"}'],
    ['blockdev', 'nbd,node-name=d,server.type=unix,server.path=/run/nbd.sock'],
    ['blockdev', 'nvme,node-name=d,device=0000:01:00.0,namespace=1'],
    ['blockdev', "{'driver':'nbd','node-name':'d'}"],
    ['blockdev', '{"dr\\u0069ver":"nbd","node-name":"d"}'],
    ['drive', 'if=none,id=d,format=nbd,server.type=unix,server.path=/run/nbd.sock'],
    ['drive', "file=json:{'driver':'raw',,'file':{'driver':'ssh',,'host':'h'}}"],
    ['drive', 'file=blkdebug::nbd://host/disk'],
    ['drive', 'file=blkverify:/a.raw:nbd:unix:/run/nbd.sock'],
    ['drive', 'file=iser://host/target/1'],
    ['cdrom', 'https://host/install.iso'],
    ['hda', 'ssh://host/disk'],
  ] as const)
    assert.deepEqual(obstaclesOf(`-${option}`, value), [`-${option} over a network`], value)
  assert.deepEqual(obstaclesOf('nbd://host/disk'), ['a disk over a network'])
})

test('a file is tried, whatever its folder is called', () => {
  for (const words of [
    ['-drive', 'if=none,id=nvme,file=/mnt/nvme/disk.raw,format=raw'],
    ['-drive', 'file=/mnt/nfs/ssh/rbd.qcow2'],
    ['-blockdev', '{"driver":"file","node-name":"nbd","filename":"/mnt/nvme/https/disk"}'],
    ['-blockdev', 'driver=host_device,node-name=d,filename=/dev/nvme0n1'],
    ['-cdrom', '/mnt/http/install.iso'],
    ['/mnt/iscsi/disk.raw'],
  ])
    assert.deepEqual(obstaclesOf(...words), [], words.join(' '))
})

test('a shared folder has a stand-in for its helper on the trial, and a TPM is left out', () => {
  const words = [
    ...['-chardev', 'socket,id=tpm0,path=/run/tpm', '-tpmdev', 'emulator,id=tpm0,chardev=tpm0'],
    ...['-device', 'tpm-crb,tpmdev=tpm0', '-chardev', 'socket,id=fs0,path=/run/fs'],
    ...['-device', '{"driver":"vhost-user-fs-pci","chardev":"fs0","tag":"share"}'],
  ]
  const line = trialLine(parseCommandLine(['qemu', '-nodefaults', ...words]), 'pc-q35-10.0')
  assert.deepEqual([line.obstacles, line.standIns, line.without], [[], 1, ['tpm-crb']])
  const tried = line.argv.join(' ')
  assert.match(tried, / socket,id=fs0,fd=4 .*vhost-user-fs-pci/)
  assert.doesNotMatch(tried, /\/run\/|tpmdev/)
})

test('a VFIO device has another one in its place on the trial, which no other process has', () => {
  const tried = (...words: string[]) =>
    trialLine(parseCommandLine(['qemu', '-nodefaults', ...words]), 'pc-q35-10.0')
  const line = tried(
    ...['-object', 'iommufd,id=iommufd0', '-device', 'pcie-root-port,id=port0,chassis=1'],
    ...['-device', 'vfio-pci,host=0000:01:00.0,id=nic0,iommufd=iommufd0,romfile=,bus=port0,addr=0x0'],
    ...['-device', '{"driver":"vfio-pci","host":"02:00.1","id":"nic1","multifunction":true}'],
  )
  assert.deepEqual([line.obstacles, line.without, line.placeholders], [[], ['vfio-pci'], ['nic0', 'nic1']])
  const devices = line.argv.filter((word) => word.startsWith('i6300esb'))
  assert.deepEqual(devices, ['i6300esb,id=nic0,bus=port0,addr=0x0', 'i6300esb,id=nic1,multifunction=on'])
  assert.doesNotMatch(line.argv.join(' '), /host=|01:00/)
  // Its place could not be told from that of a device of the board.
  assert.deepEqual(tried('-device', 'vfio-pci,host=01:00.0').obstacles, ['device vfio-pci without id='])
  assert.deepEqual(tried('-device', 'vfio-platform,host=x,id=a').obstacles, ['device vfio-platform'])
})
