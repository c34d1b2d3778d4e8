/**
 * The taps of a guest: QEMU opens a tap by name, and makes it where it is missing, in no bridge. So before a
 * guest is resumed, a tap that was there must be there and in its bridge again, or the guest would be off its
 * network without an error.
 */
import { readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import * as v from 'valibot'
import type { Reading } from './machine/reading.ts'

/** A tap that outlives its QEMU. `master`: the bridge, bond or switch that it is a port of. */
export const TapSchema = v.object({ ifname: v.string(), master: v.nullable(v.string()) })
export type Tap = v.InferOutput<typeof TapSchema>

const INTERFACES = '/sys/class/net'
/** IFF_TAP and IFF_PERSIST, include/uapi/linux/if_tun.h. */
const IFF_TAP = 0x0002
const IFF_PERSIST = 0x0800

interface Interface {
  readonly isTap: boolean
  readonly isPersistent: boolean
  readonly master: string | null
}

export interface TapCheck {
  /** That must be there before the guest is resumed. */
  readonly taps: readonly Tap[]
  readonly problems: readonly string[]
}

/** The taps that a QEMU in this network namespace has open, and why another QEMU could not have them. */
export function checkTaps({ items }: Pick<Reading, 'items'>): TapCheck {
  const taps: Tap[] = []
  const problems: string[] = []
  const seen = new Set<string>()
  for (const item of items.networks ?? []) {
    const [, ifname, script = 'no'] = /: tap,ifname=([^,]+)(?:,script=([^,]*))?/.exec(item) ?? []
    // One of several queues: QEMU reports the script with the first one alone.
    if (ifname === undefined || seen.has(ifname)) continue
    seen.add(ifname)
    const found = findInterface(ifname)
    if (found?.isPersistent) taps.push({ ifname, master: found.master })
    else if (found?.master != null && script === 'no')
      problems.push(
        `its tap ${ifname} ends with its QEMU, and nothing would put the next one into ${found.master}: make it one that stays, by 'ip tuntap add', before the guest is started`,
      )
  }
  return { taps, problems }
}

/** One line for each tap of a saved guest that is missing, or not where it was. */
export const tapProblems = ({ taps = [] }: { readonly taps?: readonly Tap[] | undefined }): string[] =>
  taps.flatMap(tapProblem)

function tapProblem({ ifname, master }: Tap): string[] {
  const found = findInterface(ifname)
  if (found === undefined)
    return [`its tap ${ifname} is not there: make it, or the guest would be off its network`]
  if (!found.isTap) return [`its tap ${ifname} is another kind of interface now`]
  if (master === null || found.master === master) return []
  return [`its tap ${ifname} is not in ${master}: 'ip link set ${ifname} master ${master}'`]
}

function findInterface(ifname: string): Interface | undefined {
  // QEMU's user chose the name, which must not lead out of the folder.
  if (ifname.includes('/') || ifname === '..') return undefined
  const folder = `${INTERFACES}/${ifname}`
  try {
    readlinkSync(folder)
  } catch {
    return undefined
  }
  const flags = tunFlags(ifname) ?? 0
  return {
    isTap: (flags & IFF_TAP) !== 0,
    isPersistent: (flags & IFF_PERSIST) !== 0,
    master: orUndefined(() => basename(readlinkSync(`${folder}/master`))) ?? null,
  }
}

/** undefined: there is no such tap in the network namespace of this process. */
export const tunFlags = (ifname: string): number | undefined =>
  orUndefined(() => Number(readFileSync(`${INTERFACES}/${ifname}/tun_flags`, 'latin1').trim()))

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
