/**
 * Values that QEMU would generate anew at each start, by which the guest would see another machine: `run`
 * generates them once, when it records the VM.
 */
import { randomUUID } from 'node:crypto'
import {
  type Argument,
  argumentsOf,
  type CommandLine,
  driverOf,
  hasOption,
  jsonOf,
  pairsOf,
  setKeys,
} from './command-line.ts'
import { impliedValue, optionValue } from './option-string.ts'

/**
 * The line with a GUID wherever `vmgenid` has none, or `guid=auto`: the guest takes a new GUID as a sign that
 * it is a copy. And with the MAC address that QEMU would number each NIC with: once a NIC before it is
 * unplugged, the next QEMU would give it the address of that one.
 */
export const fixIdentities = (line: CommandLine): CommandLine => fixAddresses(fixGuids(line))

const fixGuids = (line: CommandLine): CommandLine =>
  argumentsOf(line, 'device').reduce((fixed, argument) => {
    const isVmgenid = impliedValue(pairsOf(argument), 'driver') === 'vmgenid'
    if (!isVmgenid || (optionValue(pairsOf(argument), 'guid') ?? 'auto') !== 'auto') return fixed
    return setKeys(fixed, argument, [['guid', randomUUID()]])
  }, line)

/** Types of x86 machines whose address QEMU numbers (`qemu_macaddr_default_if_unset`, net/net.c). */
const NIC =
  /^(virtio-net(-pci|-device)?(-non)?(-transitional)?|e1000(e|-82544gc|-82545em)?|igb|rtl8139|vmxnet3|pcnet|ne2k_(pci|isa)|tulip|i82\d{3}\w*|usb-net)$/
export const isNic = (driver: string): boolean => NIC.test(driver)
/**
 * Whether `mac` is the address that QEMU gave the NIC. In the others it is what the guest set (conf.macaddr,
 * hw/net).
 */
export const hasConfiguredMac = (driver: string): boolean => isNic(driver) && !/^(vmxnet3|i82)/.test(driver)

/** QEMU numbers the last byte. */
const PREFIX = '52:54:00:12:34:'
const [FIRST, END] = [0x56, 0xff]
const UNSET = '00:00:00:00:00:00'
/** A value for all devices of a type, which an own one would replace. */
const GLOBAL = /(^|[.,=])mac(addr)?[=,]|property=mac(addr)?(,|$)/

/**
 * In QEMU's order, so that each NIC gets the address that it had without this: `-nic`, `-net nic`, and then
 * devices, those in JSON last (net_init_clients, net/net.c; qemu_create_cli_devices, system/vl.c).
 */
function fixAddresses(line: CommandLine): CommandLine {
  if (argumentsOf(line, 'global').some(({ value = '' }) => GLOBAL.test(value))) return line
  const devices = argumentsOf(line, 'device').filter((argument) => isNic(driverOf(argument)))
  const isJson = ({ value = '' }: Argument): boolean => jsonOf(value) !== undefined
  const nics = [
    ...argumentsOf(line, 'nic').filter((argument) => impliedValue(pairsOf(argument), 'type') !== 'none'),
    ...argumentsOf(line, 'net').filter((argument) => impliedValue(pairsOf(argument), 'type') === 'nic'),
    ...devices.filter((argument) => !isJson(argument)),
    ...devices.filter(isJson),
  ]
  // Without any of these QEMU adds a NIC of its own, the first one.
  const hasDefault = !hasOption(line, 'nodefaults', 'netdev', 'nic', 'net')
  const used = new Set(hasDefault ? [`${PREFIX}${FIRST.toString(16)}`] : [])
  return nics.reduce((fixed, argument) => {
    const key = argument.option === 'net' ? 'macaddr' : 'mac'
    const given = optionValue(pairsOf(argument), key)?.toLowerCase().replaceAll('-', ':') ?? UNSET
    const address = given === UNSET ? freeAddress(used) : given
    if (address === undefined) return fixed
    used.add(address)
    return given === UNSET ? setKeys(fixed, argument, [[key, address]]) : fixed
  }, line)
}

/** undefined: QEMU has none left either. */
function freeAddress(used: ReadonlySet<string>): string | undefined {
  for (let last = FIRST; last < END; last++)
    if (!used.has(`${PREFIX}${last.toString(16)}`)) return `${PREFIX}${last.toString(16)}`
  return undefined
}
