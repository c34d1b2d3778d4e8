import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CorruptBytesError } from '../values/errors.ts'
import { describeDomain } from './describe-domain.ts'
import { domainXml, UUID } from './testing/domain-xml.ts'

test('a domain of Debian 13 that runs, with its RAM in files: what is read of it', () => {
  const { aliases, ...domain } = describeDomain(domainXml())
  assert.deepEqual(domain, {
    uuid: UUID,
    name: 'web',
    id: 7,
    machine: 'pc-q35-10.0',
    memoryBytes: 256 * 1024 * 1024,
    disks: [
      { alias: 'virtio-disk0', path: '/var/lib/libvirt/images/web.qcow2' },
      { alias: 'sata0-0-0', path: undefined },
    ],
    hasTpm: false,
    whyNot: undefined,
    remarks: [],
  })
  // Not that of the metadata, which other programs write.
  assert.deepEqual([...aliases].sort(), [
    'balloon0',
    'channel0',
    'net0',
    'pci.0',
    'pci.1',
    'sata0-0-0',
    'serial0',
    'virtio-disk0',
    'virtio-serial0',
  ])
})

const whyNot = (choice: Parameters<typeof domainXml>[0]): string | undefined =>
  describeDomain(domainXml(choice)).whyNot

test('each kind of domain that cannot be in a pool is named by its reason', () => {
  const rows: [Parameters<typeof domainXml>[0], RegExp][] = [
    [{ type: 'hvf' }, /^its hypervisor is 'hvf', and not QEMU$/],
    [{ backing: '' }, /^its RAM is private to QEMU: give it <memoryBacking>/],
    [{ backing: "<source type='anonymous'/><access mode='shared'/>" }, /^its RAM is private to QEMU/],
    [{ backing: "<source type='memfd'/><access mode='shared'/>" }, /^its RAM is a memfd of QEMU/],
    [{ backing: "<source type='file'/>" }, /^its RAM is not shared/],
    [{ backing: "<source type='file'/><access mode='private'/>" }, /^its RAM is not shared/],
    [
      { backing: "<hugepages><page size='2048' unit='KiB'/></hugepages>" },
      /^its RAM is in libvirt's huge pages/,
    ],
    [
      { backing: "<source type='file'/><access mode='shared'/><hugepages/>" },
      /^its RAM is in libvirt's huge pages/,
    ],
    [
      { backing: "<source type='file'/><access mode='shared'/><discard/>" },
      /^its RAM is discarded when its QEMU ends/,
    ],
    [{ cell: "memAccess='private'" }, /^a NUMA cell has memAccess='private'/],
    [{ cell: "memAccess='shared' discard='yes'" }, /^its RAM is discarded/],
    [{ more: "<launchSecurity type='sev-snp'><policy>0x00030000</policy></launchSecurity>" }, /\(sev-snp\)/],
    [{ more: "<launchSecurity type='tdx'/>" }, /^it is confidential \(tdx\)/],
    [{ device: "<memory model='nvdimm'><source><path>/tmp/nv</path></source></memory>" }, /'nvdimm'/],
    [{ device: "<memory model='virtio-mem'/>" }, /'virtio-mem'/],
    [{ device: "<memory model='dimm' access='private'/>" }, /^a DIMM of it is private/],
    [{ device: "<memory model='dimm' discard='yes'/>" }, /^a DIMM of it is discarded/],
    [
      { device: "<memory model='dimm'><source><pagesize unit='KiB'>2048</pagesize></source></memory>" },
      /^a DIMM of it is in libvirt's huge pages/,
    ],
    [{ device: "<hostdev mode='subsystem' type='pci' managed='yes'/>" }, /passed-through device \(pci\)/],
    [{ device: "<hostdev mode='subsystem' type='mdev' model='vfio-pci'/>" }, /\(mdev\)/],
    [{ device: "<interface type='hostdev' managed='yes'/>" }, /\(interface\)/],
  ]
  for (const [choice, pattern] of rows) assert.match(whyNot(choice) ?? 'it can', pattern)
})

test('what only looks like a reason is none', () => {
  for (const choice of [
    { type: 'qemu' },
    { cell: "memAccess='shared'" },
    { cell: '' },
    { device: "<memory model='dimm' access='shared'><source/><target/></memory>" },
    { device: "<hostdev mode='subsystem' type='usb'/>" },
    { device: "<interface type='network'><source network='default'/></interface>" },
  ])
    assert.equal(whyNot(choice), undefined)
})

test('RAM that is populated at each start is told, and an emulated TPM is seen', () => {
  const backing = "<source type='file'/><access mode='shared'/><allocation mode='immediate'/>"
  assert.match(describeDomain(domainXml({ backing })).remarks.join(), /populates its RAM again/)
  const device = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
  assert.equal(describeDomain(domainXml({ device })).hasTpm, true)
})

test('a name or a UUID that cannot be is refused, before either is used', () => {
  for (const xml of [
    '<network/>',
    '<domain/>',
    domainXml().replace(UUID, '../../etc/passwd'),
    domainXml().replace(/<name>.*<\/name>/, ''),
  ])
    assert.throws(() => describeDomain(xml), CorruptBytesError)
})
