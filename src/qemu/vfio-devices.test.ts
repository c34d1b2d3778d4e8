import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { hasVfio, vfioOf, vfioProblems } from './vfio-devices.ts'

/** A host with devices on its PCI bus; `vfio`: those that a driver of VFIO has, the others have e1000e. */
function fakeHost(t: TestContext, devices: readonly string[], vfio: readonly string[] = []): string {
  const root = mkdtempSync(join(tmpdir(), 'vfio-'))
  t.after(() => rmSync(root, { recursive: true }))
  for (const device of devices) {
    const folder = join(root, 'bus/pci/devices', device)
    mkdirSync(join(folder, vfio.includes(device) ? 'vfio-dev/vfio0' : 'net'), { recursive: true })
    symlinkSync(
      `../../../bus/pci/drivers/${vfio.includes(device) ? 'vfio-pci' : 'e1000e'}`,
      join(folder, 'driver'),
    )
  }
  return root
}

const problems = (root: string, ...devices: string[]): string[] =>
  vfioProblems({ argv: ['qemu', ...devices.flatMap((each) => ['-device', each])] }, root)

test('a device that a driver of VFIO has is there for QEMU, however the line names it', (t) => {
  const root = fakeHost(t, ['0000:01:00.0', '0001:0a:1f.7'], ['0000:01:00.0', '0001:0a:1f.7'])
  for (const words of [
    'vfio-pci,host=01:00.0',
    'vfio-pci,host=0000:01:00.0,id=nic0,iommufd=iommufd0',
    'vfio-pci-nohotplug,host=1:0A:1F.7',
    '{"driver":"vfio-pci","host":"0000:01:00.0"}',
    `vfio-pci,sysfsdev=${root}/bus/pci/devices/0000:01:00.0`,
    'vfio-user-pci,socket=/run/device',
    'virtio-net-pci,host=02:00.0',
  ])
    assert.deepEqual(problems(root, words), [], words)
})

test('one that another driver has, or that is not there, is named with what to do', (t) => {
  const root = fakeHost(t, ['0000:01:00.0'])
  assert.match(
    problems(root, 'vfio-pci,host=01:00.0,id=nic0').join(),
    /^its VFIO device nic0 \(0000:01:00\.0\) has driver e1000e: bind it to vfio-pci, .* 'driverctl set-override 0000:01:00\.0 vfio-pci'/,
  )
  assert.deepEqual(problems(root, 'vfio-pci,host=02:00.0'), [
    'its VFIO device vfio-pci (0000:02:00.0) is not on this host',
  ])
  const vmm = { save: 's', cancel: 'c', start: 's' }
  assert.deepEqual(vfioProblems({ argv: ['other-vmm', '-device', 'vfio-pci,host=02:00.0'], vmm }, root), [])
})

test('VFIO devices are found in a line, and in a machine', () => {
  assert.equal(hasVfio(['qemu', '-device', 'vfio-pci,host=01:00.0']), true)
  assert.equal(hasVfio(['qemu', '-device', 'virtio-net-pci,id=vfio-pci']), false)
  const devices = [
    'vfio-pci "nic0": on pcie.0',
    'vfio-pci "nic0": host = "0000:01:00.0"',
    'vfio-pci number 2: on pcie.0',
  ]
  assert.deepEqual(
    vfioOf({ items: { devices: [...devices, 'virtio-net-pci "vfio-1": on pcie.0'] } as never }),
    ['nic0', 'vfio-pci'],
  )
})
