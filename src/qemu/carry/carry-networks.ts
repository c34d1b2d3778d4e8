/** Network backends that a person added or removed, as arguments of the next QEMU's command line. */
import {
  type Argument,
  append,
  argumentsOf,
  type CommandLine,
  idOf,
  withoutArguments,
} from '../command-line.ts'
import { CannotCarry, type Change } from './change.ts'

export interface CarriedNetworks {
  readonly line: CommandLine
  /** Ids of the added and the removed ones. */
  readonly netdevs: readonly string[]
}

/**
 * `changed`: items as `info network` prints them; those of NICs belong to their devices. Errors
 * (CannotCarry): an added one is no plain tap, and QEMU does not report the options of other kinds; or a tap
 * may use vhost-net.
 */
export function carryNetworks(
  line: CommandLine,
  { added: come, removed: left }: Change,
  usesVhost: () => boolean,
): CarriedNetworks {
  const [added, removed] = [netdevsOf(come), netdevsOf(left)]
  const gone = removed.map(({ id }) => id)
  const ids = added.map(({ id }) => id)
  if (new Set([...ids, ...gone]).size < ids.length + gone.length)
    throw new CannotCarry('a network backend was changed, or has several queues')
  if (ids.length > 0 && usesVhost())
    throw new CannotCarry('QEMU uses vhost-net, and does not tell for which of its taps')
  const netdevs = [...ids, ...gone]
  const isMoved = (argument: Argument): boolean => netdevs.includes(idOf(argument) ?? '')
  const kept = withoutArguments(line, argumentsOf(line, 'netdev').filter(isMoved))
  return { line: added.reduce(withTap, kept), netdevs }
}

interface Netdev {
  readonly id: string
  /** `tap,ifname=tap0,script=no,downscript=no` */
  readonly told: string
}

function netdevsOf(items: readonly string[]): Netdev[] {
  return items.flatMap((item) => {
    const at = item.indexOf(': ')
    const told = item.slice(at + 2)
    return told === 'nic' || told.startsWith('nic,') ? [] : [{ id: item.slice(0, at), told }]
  })
}

function withTap(line: CommandLine, { id, told }: Netdev): CommandLine {
  const [kind, ...words] = told.split(',')
  const pairs = new Map(words.map((word) => word.split('=', 2) as [string, string]))
  const ifname = pairs.get('ifname')
  const isPlain = ['script', 'downscript'].every((key) => pairs.get(key) === 'no')
  if (kind !== 'tap' || ifname === undefined || !isPlain)
    throw new CannotCarry(
      `network backend ${id} was plugged: QEMU reports all options only of a tap with ifname=, script=no and downscript=no`,
    )
  return append(line, 'netdev', `tap,id=${id},ifname=${ifname},script=no,downscript=no`)
}
