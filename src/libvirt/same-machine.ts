/**
 * Whether two live XMLs of a domain are of one machine, with the same disks: all but what the guest, or
 * libvirt for it, changes at any time, and what the machine does not have. Pure.
 */
import { parseXml, type XmlElement } from './xml.ts'

/** Children of `<domain>`: words of management programs, limits for QEMU's processes, the balloon's size. */
const APART: readonly string[] = [
  ...['metadata', 'title', 'description', 'currentMemory'],
  ...['cputune', 'blkiotune', 'memtune'],
]

/**
 * ELEMENT ATTRIBUTE: whether the guest's agent listens, whether the guest has opened a drive, and what it has
 * set its clock to.
 */
const CHANGED_BY_GUEST: readonly string[] = ['target state', 'target tray', 'clock adjustment']

/** Errors: CorruptBytesError. */
export function isSameMachine(before: string, after: string): boolean {
  return before === after || machineOf(before) === machineOf(after)
}

function machineOf(xml: string): string {
  const root = parseXml(xml)
  return JSON.stringify(
    shapeOf({ ...root, children: root.children.filter(({ name }) => !APART.includes(name)) }),
  )
}

const shapeOf = ({ name, attributes, text, children }: XmlElement): unknown => [
  name,
  [...attributes].filter(([attribute]) => !CHANGED_BY_GUEST.includes(`${name} ${attribute}`)),
  text,
  children.map(shapeOf),
]
