/**
 * What guestmemfs needs of a domain's XML, and why a domain cannot be a guest of a pool, as far as its XML
 * says so. Pure. The elements: docs/formatdomain.rst of libvirt.
 */
import { CorruptBytesError } from '../values/errors.ts'
import { GIB, KIB, MIB } from '../values/units.ts'
import { allElements, attributeAt, childOf, childrenOf, elementAt, parseXml, type XmlElement } from './xml.ts'

export interface DomainDescription {
  readonly uuid: string
  readonly name: string
  /** undefined: it is not active. */
  readonly id: number | undefined
  /** QEMU's machine type with its version. */
  readonly machine: string
  /** Of the whole guest. */
  readonly memoryBytes: number
  /** Of its devices, as QEMU has them as ids. */
  readonly aliases: ReadonlySet<string>
  readonly disks: readonly DescribedDisk[]
  readonly hasTpm: boolean
  /** One line: its XML says that it cannot be a guest of a pool. undefined: it does not say so. */
  readonly whyNot: string | undefined
  /** What the operator should know of its update, one line each. */
  readonly remarks: readonly string[]
}

export interface DescribedDisk {
  /** Of the disk's device. */
  readonly alias: string
  /** A file or a block device; undefined: it is empty, or its image is on the network. */
  readonly path: string | undefined
}

/** Of a domain that runs `xml` is libvirt's live XML (`virsh dumpxml`). Errors: CorruptBytesError. */
export function describeDomain(xml: string): DomainDescription {
  const root = parseXml(xml)
  const uuid = childOf(root, 'uuid')?.text
  const name = childOf(root, 'name')?.text
  if (root.name !== 'domain' || uuid === undefined || !UUID.test(uuid) || name === undefined)
    throw new CorruptBytesError('XML of libvirt that is of no domain')
  const id = root.attributes.get('id')
  return {
    uuid,
    name,
    id: id === undefined ? undefined : Number(id),
    machine: attributeAt(root, 'machine', 'os', 'type') ?? '',
    memoryBytes: bytesOf(childOf(root, 'memory')),
    aliases: aliasesOf(root),
    disks: disksOf(root),
    hasTpm: attributeAt(root, 'type', 'devices', 'tpm', 'backend') === 'emulator',
    whyNot: whyNotOf(root),
    remarks: remarksOf(root),
  }
}

/** It becomes a file name. */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** As libvirt writes sizes of domains it has read: KiB. */
const UNITS: Readonly<Record<string, number>> = { b: 1, bytes: 1, KiB: KIB, MiB: MIB, GiB: GIB }

const bytesOf = (element: XmlElement | undefined): number =>
  Number(element?.text ?? 0) * (UNITS[element?.attributes.get('unit') ?? 'KiB'] ?? 0)

function aliasesOf(root: XmlElement): Set<string> {
  const devices = childOf(root, 'devices')
  if (devices === undefined) return new Set()
  const named = [...allElements(devices)].flatMap((element) =>
    element.name === 'alias' ? (element.attributes.get('name') ?? []) : [],
  )
  return new Set(named)
}

const disksOf = (root: XmlElement): DescribedDisk[] =>
  childrenOf(childOf(root, 'devices') ?? root, 'disk').map((disk) => {
    const source = childOf(disk, 'source')
    return {
      alias: attributeAt(disk, 'name', 'alias') ?? '',
      path: source?.attributes.get('file') ?? source?.attributes.get('dev'),
    }
  })

const WANTED = "<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>"

function whyNotOf(root: XmlElement): string | undefined {
  const type = root.attributes.get('type') ?? ''
  if (type !== 'kvm' && type !== 'qemu') return `its hypervisor is '${type}', and not QEMU`
  const secure = attributeAt(root, 'type', 'launchSecurity')
  if (secure !== undefined) return `it is confidential (${secure}): its private memory is in no file system`
  return whyNotByMemory(root) ?? whyNotByDevices(childOf(root, 'devices') ?? root)
}

function whyNotByMemory(root: XmlElement): string | undefined {
  const backing = childOf(root, 'memoryBacking')
  const source = backing && attributeAt(backing, 'type', 'source')
  if (backing && childOf(backing, 'hugepages') !== undefined)
    return `its RAM is in libvirt's huge pages: take <hugepages> out of its memoryBacking`
  if (source !== 'file')
    return `its RAM is ${source === 'memfd' ? 'a memfd of' : 'private to'} QEMU: give it ${WANTED}`
  if (attributeAt(backing as XmlElement, 'mode', 'access') !== 'shared')
    return `its RAM is not shared: give it <access mode='shared'/> in its memoryBacking`
  const cells = childrenOf(elementAt(root, 'cpu', 'numa') ?? root, 'cell')
  if (cells.some(({ attributes }) => attributes.get('memAccess') === 'private'))
    return "a NUMA cell has memAccess='private': that RAM would be in no pool"
  const discards = cells.some(({ attributes }) => attributes.get('discard') === 'yes')
  if (discards || childOf(backing as XmlElement, 'discard') !== undefined)
    return 'its RAM is discarded when its QEMU ends: take <discard/> out of its memoryBacking'
  return undefined
}

/** Passed-through devices of these kinds are VFIO's. */
const VFIO = ['pci', 'mdev']

function whyNotByDevices(devices: XmlElement): string | undefined {
  for (const memory of childrenOf(devices, 'memory')) {
    const { attributes } = memory
    const model = attributes.get('model') ?? ''
    if (model !== 'dimm') return `it has a memory device '${model}', which guestmemfs does not update`
    if (attributes.get('access') === 'private') return 'a DIMM of it is private: that RAM would be in no pool'
    if (attributes.get('discard') === 'yes') return 'a DIMM of it is discarded when its QEMU ends'
    if (elementAt(memory, 'source', 'pagesize') !== undefined)
      return "a DIMM of it is in libvirt's huge pages"
  }
  const passed = childrenOf(devices, 'hostdev').find(({ attributes }) =>
    VFIO.includes(attributes.get('type') ?? ''),
  )
  const nic = childrenOf(devices, 'interface').some(({ attributes }) => attributes.get('type') === 'hostdev')
  if (passed !== undefined || nic)
    return `it has a passed-through device (${passed?.attributes.get('type') ?? 'interface'}), which guestmemfs does not suspend for libvirt`
  return undefined
}

function remarksOf(root: XmlElement): string[] {
  const isFilled = attributeAt(root, 'mode', 'memoryBacking', 'allocation') === 'immediate'
  return isFilled
    ? [
        "QEMU populates its RAM again at each start (<allocation mode='immediate'/>), which is in its blackout",
      ]
    : []
}
