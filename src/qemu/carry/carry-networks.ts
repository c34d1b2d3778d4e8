/** Network backends that the operator added or removed, as arguments of the next QEMU's command line. */
import type { OpenFile } from '../../linux/open-files.ts'
import {
  type Argument,
  append,
  argumentsOf,
  type CommandLine,
  idOf,
  jsonOf,
  pairsOf,
  withoutArguments,
} from '../command-line.ts'
import type { NetworkClient } from '../machine/networks.ts'
import { impliedValue, type Pair, printOptionString } from '../option-string.ts'
import { tunFlags } from '../taps.ts'
import { CannotCarry, type Change } from './change.ts'

export interface CarriedNetworks {
  readonly line: CommandLine
  /** Ids of the added and the removed ones. */
  readonly netdevs: readonly string[]
  /** What QEMU does not report of the added ones, one line each. */
  readonly notes: readonly string[]
}

/** IFF_VNET_HDR, include/uapi/linux/if_tun.h. */
const IFF_VNET_HDR = 0x4000
/** `info_str` of a client, include/net/net.h: what is longer is cut off. */
const MOST_REPORTED = 255
/** Addresses that follow from the network and its mask are those of slirp's defaults in this one alone. */
const USUAL_NETWORK = '10.0.2.0'

/**
 * `clients`: all that QEMU has now. `files`: its descriptors; undefined: they could not be read. Errors
 * (CannotCarry): QEMU does not report the options of an added one.
 */
export function carryNetworks(
  line: CommandLine,
  { added: addedItems, removed: removedItems }: Change,
  clients: readonly NetworkClient[],
  files: readonly OpenFile[] | undefined,
): CarriedNetworks {
  const [added, removed] = [netdevsOf(addedItems), netdevsOf(removedItems)]
  if (added.intersection(removed).size > 0) throw new CannotCarry('a network backend was changed')
  const netdevs = [...added, ...removed]
  const isMoved = (argument: Argument): boolean => netdevs.includes(idOf(argument) ?? '')
  refuseOtherNumbers(line, addedItems.filter(isUser), new Set(removedItems.filter(isUser).map(idOfItem)))
  const kept = withoutArguments(line, argumentsOf(line, 'netdev').filter(isMoved))
  const found = [...added].map((id) =>
    netdevWords(
      clients.filter((client) => client.id === id && client.kind !== 'nic'),
      files,
    ),
  )
  return {
    line: found.reduce((all, { pairs }) => append(all, 'netdev', printOptionString(pairs)), kept),
    netdevs,
    notes: found.flatMap(({ note }) => note ?? []),
  }
}

const idOfItem = (item: string): string => item.slice(0, item.indexOf(': '))
const isUser = (item: string): boolean => /^user(,|$)/.test(item.slice(item.indexOf(': ') + 2))
const isUserArgument = (argument: Argument): boolean => impliedValue(pairsOf(argument), 'type') === 'user'
const isJson = ({ value = '' }: Argument): boolean => jsonOf(value) !== undefined

/**
 * QEMU numbers user networks as they come, and the stream has the number (`slirp`, net/slirp.c): where one is
 * gone, those after it would have another number in the next QEMU, which could not load the guest.
 */
function refuseOtherNumbers(line: CommandLine, added: readonly string[], removed: ReadonlySet<string>): void {
  if (removed.size === 0) return
  const netdevs = argumentsOf(line, 'netdev').filter(isUserArgument)
  const users = [...netdevs.filter(isJson), ...netdevs.filter((argument) => !isJson(argument))]
  const first = users.findIndex((argument) => removed.has(idOf(argument) ?? ''))
  // QEMU makes those in JSON first, and those of -nic and -net last (net_init_clients, net/net.c).
  const isLast =
    users.slice(first).every((argument) => removed.has(idOf(argument) ?? '')) &&
    !['nic', 'net'].some((option) => argumentsOf(line, option).some(isUserArgument))
  if (!isLast || added.length > 0)
    throw new CannotCarry(
      'a user network was removed, and another came after it: its number in the state would be another',
    )
}

/** Those of NICs belong to their devices. */
const netdevsOf = (items: readonly string[]): Set<string> =>
  new Set(
    items.flatMap((item) => {
      const at = item.indexOf(': ')
      return /^nic(,|$)/.test(item.slice(at + 2)) ? [] : [item.slice(0, at)]
    }),
  )

interface NetdevWords {
  /** As `-netdev` takes them. */
  readonly pairs: readonly Pair[]
  readonly note?: string
}

const pair = (key: string, value: string): Pair => ({ key, value })

/** `queues`: one client for each, the first one at least. */
function netdevWords(queues: readonly NetworkClient[], files: readonly OpenFile[] | undefined): NetdevWords {
  const [{ id, kind, words }] = queues as [NetworkClient]
  const reported = words.join(',')
  const start = [pair('', kind), pair('id', id)]
  if (reported.length < MOST_REPORTED && kind === 'tap') {
    const [, ifname, script, downscript] =
      /^ifname=([^,]+),script=([^,]*),downscript=([^,]*)$/.exec(reported) ?? []
    if (ifname !== undefined && script !== undefined && downscript !== undefined) {
      if (files?.some(({ path }) => path === '/dev/vhost-net') !== false)
        throw new CannotCarry('QEMU uses vhost-net, and does not report for which of its taps')
      // QEMU and the kernel both list the queues: where the two differ, this program cannot tell what the tap
      // has.
      if (files.filter((file) => file.interfaceName === ifname).length !== queues.length)
        throw new CannotCarry(`tap ${ifname} has other queues than network backend ${id}`)
      const more = [
        ...(queues.length > 1 ? [pair('queues', String(queues.length))] : []),
        ...(hasVnetHeader(ifname) ? [] : [pair('vnet_hdr', 'off')]),
      ]
      const scripts = [pair('script', script), pair('downscript', downscript)]
      return {
        pairs: [...start, pair('ifname', ifname), ...scripts, ...more],
        note: `tap ${ifname} was plugged: QEMU does not report sndbuf=, and its next QEMU has the default`,
      }
    }
  }
  if (kind === 'user') {
    const [, network, restrict] = /^net=([\d.]+),restrict=(on|off)$/.exec(reported) ?? []
    if (network !== undefined && network !== USUAL_NETWORK)
      throw new CannotCarry(
        `network backend ${id} was plugged: QEMU does not report the mask of net=${network}`,
      )
    if (network !== undefined && restrict !== undefined)
      return {
        pairs: restrict === 'on' ? [...start, pair('restrict', 'on')] : start,
        note: `user network ${id} was plugged: QEMU reports its forwards and restrict= alone, and its next QEMU has the defaults of host=, dhcpstart=, dns=, hostname=, tftp=, guestfwd=, IPv6 and the like`,
      }
  }
  if (kind === 'dgram') {
    const [, host, port, toHost, toPort] = /^udp=([\d.]+):(\d+)\/([\d.]+):(\d+)$/.exec(reported) ?? []
    if (host !== undefined && port !== undefined && toHost !== undefined && toPort !== undefined)
      return {
        pairs: [
          ...start,
          ...[pair('local.type', 'inet'), pair('local.host', host), pair('local.port', port)],
          ...[pair('remote.type', 'inet'), pair('remote.host', toHost), pair('remote.port', toPort)],
        ],
      }
  }
  throw new CannotCarry(`network backend ${id} was plugged: QEMU does not report all options of this ${kind}`)
}

/** Whether a tap that QEMU has open, in this network namespace, has IFF_VNET_HDR. */
function hasVnetHeader(ifname: string): boolean {
  const flags = tunFlags(ifname)
  if (flags === undefined)
    throw new CannotCarry(`tap ${ifname} is in no network namespace of this process, or has another name now`)
  return (flags & IFF_VNET_HDR) !== 0
}
