/**
 * The drives of a command line by the name of each in QEMU: its id, or the name that QEMU makes up of its
 * interface and place (`drive_new`, blockdev.c). The trial shows whether the next QEMU has the same names.
 */
import { type Argument, argumentsOf, type CommandLine, idOf, pairsOf } from '../command-line.ts'
import { impliedValue, optionValue, printOptionString } from '../option-string.ts'

/** Each short option as the `-drive` that it stands for (`qemu_init`, system/vl.c). */
const SHORT: Readonly<Record<string, string>> = {
  hda: 'index=0,media=disk',
  hdb: 'index=1,media=disk',
  hdc: 'index=2,media=disk',
  hdd: 'index=3,media=disk',
  cdrom: 'index=2,media=cdrom',
  fda: 'if=floppy,index=0',
  fdb: 'if=floppy,index=1',
  pflash: 'if=pflash',
  sd: 'if=sd',
}
/** A drive for media that a PC has without an argument (`default_drive`). */
const DEFAULTS = [SHORT.cdrom, SHORT.fda] as readonly string[]
/** Drives of one bus (`if_max_devs`); of other interfaces there is one bus. */
const SCSI_UNITS = 7

/** The argument as `-drive`. */
export function asDrive(argument: Argument): Argument {
  const { option = 'hda', value = '' } = argument
  const short = SHORT[option]
  if (short === undefined) return argument
  const file = printOptionString([{ key: 'file', value }])
  return { option: 'drive', value: `${short},${file}`, dashes: '-' }
}

/** Arguments of the line, and those that it could have for the drives that QEMU adds by itself. */
export function driveArguments(line: CommandLine): {
  readonly own: ReadonlyMap<string, Argument>
  readonly byDefault: ReadonlyMap<string, Argument>
} {
  const isDrive = ({ option }: Argument): boolean =>
    option === undefined || option === 'drive' || SHORT[option] !== undefined
  const given = line.arguments.filter(isDrive)
  const taken = new Set<string>()
  const own = new Map(given.map((argument) => [nameOf(argument, line, taken), argument] as const))
  const added = DEFAULTS.map((value): Argument => ({ option: 'drive', value, dashes: '-' }))
  return { own, byDefault: new Map(added.map((argument) => [nameOf(argument, line, new Set()), argument])) }
}

/** `taken`: places of the drives before it, to which its own is added. */
function nameOf(argument: Argument, line: CommandLine, taken: Set<string>): string {
  const pairs = pairsOf(asDrive(argument))
  const kind = optionValue(pairs, 'if') ?? 'ide'
  const units = unitsOf(kind, line)
  const number = (key: string): number | undefined => {
    const text = optionValue(pairs, key)
    return text === undefined ? undefined : Number(text)
  }
  const index = number('index')
  let bus = number('bus') ?? 0
  let unit = number('unit')
  if (index !== undefined) [bus, unit] = units === 0 ? [0, index] : [Math.floor(index / units), index % units]
  const place = () => `${kind} ${bus} ${unit}`
  if (unit === undefined)
    for (unit = 0; taken.has(place()); ) {
      unit++
      if (units > 0 && unit >= units) [bus, unit] = [bus + 1, unit - units]
    }
  taken.add(place())
  const medium = optionValue(pairs, 'media') === 'cdrom' ? '-cd' : '-hd'
  const kindOfMedium = kind === 'ide' || kind === 'scsi' ? medium : ''
  return idOf(argument) ?? `${kind}${units > 0 ? bus : ''}${kindOfMedium}${unit}`
}

/** q35 has one drive on each bus of its AHCI (`units_per_default_bus`). */
function unitsOf(kind: string, line: CommandLine): number {
  if (kind === 'scsi') return SCSI_UNITS
  if (kind !== 'ide') return 0
  const types = argumentsOf(line, 'machine', 'M').map((argument) => impliedValue(pairsOf(argument), 'type'))
  return types.some((type) => type?.includes('q35')) ? 1 : 2
}
