/**
 * Settings that QEMU does not report, and that its next one may have otherwise: a preflight names them before
 * a guest is stopped.
 */
import * as v from 'valibot'
import { argumentById, parseCommandLine } from '../command-line.ts'
import { isNic } from '../generated-ids.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { type Ask, unlessRefused } from './ask.ts'
import type { Reading } from './reading.ts'

/**
 * NICs whose link is up after a load: the stream has only the register that the guest reads, and nothing sets
 * `link_down` by it, as `virtio_net_post_load_device` and `e1000_post_load` do (hw/net).
 */
const LINK_UNKEPT = /^(vmxnet3|pcnet|ne2k_\w+|usb-net|tulip|i82\d{3}\w*)$/
/** QEMU reports all options of a tap. */
const REPORTED = /^tap(,|$)/

/** `TYPE "ID": on BUS`, or `TYPE number N: on BUS`. */
const DEVICE = /^(\S+) (?:"([^"]+)"|number \d+): on /

/** One line for each. Errors (QemuError): QEMU does not answer. */
export async function unreportedRemarks(ask: Ask, { argv }: VmDefinition, now: Reading): Promise<string[]> {
  const devices = (now.items.devices ?? []).flatMap((item) => {
    const [, type = '', id] = DEVICE.exec(item) ?? []
    return isNic(type) ? [{ type, id }] : []
  })
  const unkept = devices.filter(({ type }) => LINK_UNKEPT.test(type))
  const line = parseCommandLine(argv)
  const again = await Promise.all(
    devices.flatMap(({ id }) =>
      id !== undefined && argumentById(line, 'device', id) !== undefined ? [pluggedAgain(ask, id, now)] : [],
    ),
  )
  return [
    ...(unkept.length === 0
      ? []
      : [
          `the link of ${unkept.map(({ type, id }) => (id === undefined ? type : `${id} (${type})`)).join(', ')} is up in its next QEMU: QEMU does not report whether it was set down (set_link)`,
        ]),
    ...again.flat(),
  ]
}

/** A NIC of the line that was taken out and plugged again, maybe on another backend of the same name. */
async function pluggedAgain(ask: Ask, id: string, { items }: Reading): Promise<string[]> {
  const path = `/machine/peripheral/${id}`
  const isPlugged = await unlessRefused(ask(v.boolean(), 'qom-get', { path, property: 'hotplugged' }), false)
  if (!isPlugged) return []
  const netdev = await unlessRefused(ask(v.string(), 'qom-get', { path, property: 'netdev' }), '')
  const backend = (items.networks ?? []).find((item) => item.startsWith(`${netdev}: `))
  if (backend === undefined || REPORTED.test(backend.slice(netdev.length + 2))) return []
  return [
    `NIC ${id} was plugged again: QEMU does not report whether its network backend ${netdev} is still that of the command line, which its next QEMU has`,
  ]
}
