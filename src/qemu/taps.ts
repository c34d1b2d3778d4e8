/**
 * The taps of a guest: QEMU opens one by name, and makes it where it is not there, in no bridge. So one that
 * was there, and in a bridge, is there and in it again before the guest goes on, or the guest would be off
 * its network and nobody told.
 */
import { readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { UsageError } from '../values/errors.ts'
import type { Reading } from './machine/reading.ts'

/** One that outlives its QEMU. `master`: the bridge, bond or switch that it is a port of. */
export const TapSchema = v.object({ ifname: v.string(), master: v.nullable(v.string()) })
export type Tap = v.InferOutput<typeof TapSchema>

const INTERFACES = '/sys/class/net'
/** IFF_TAP and IFF_PERSIST, include/uapi/linux/if_tun.h. */
const IFF_TAP = 0x0002
const IFF_PERSIST = 0x0800
const POLL_MS = 100

interface Interface {
  readonly isTap: boolean
  readonly isPersistent: boolean
  readonly master: string | null
}

export interface TapLook {
  /** To be looked for before the guest goes on. */
  readonly taps: readonly Tap[]
  readonly problems: readonly string[]
}

/** The taps that a QEMU in this network namespace has open, and what speaks against starting another. */
export function lookAtTaps({ items }: Pick<Reading, 'items'>): TapLook {
  const taps: Tap[] = []
  const problems: string[] = []
  for (const item of items.networks ?? []) {
    const [, ifname, script = 'no'] = /: tap,ifname=([^,]+)(?:,script=([^,]*))?/.exec(item) ?? []
    if (ifname === undefined) continue
    const found = findInterface(ifname)
    if (found?.isPersistent) taps.push({ ifname, master: found.master })
    else if (found?.master != null && script === 'no')
      problems.push(
        `its tap ${ifname} ends with its QEMU, and nothing would put the next one into ${found.master}: make it one that stays, by 'ip tuntap add', before the guest is started`,
      )
  }
  return { taps, problems }
}

/** Errors (UsageError): one is missing, or not where it was, for `timeoutMs`. */
export async function waitForTaps(taps: readonly Tap[], timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const [problem] = taps.flatMap(tapProblem)
    if (problem === undefined) return
    if (performance.now() >= deadline) throw new UsageError(problem)
    await sleep(POLL_MS)
  }
}

function tapProblem({ ifname, master }: Tap): string[] {
  const found = findInterface(ifname)
  if (found === undefined)
    return [`its tap ${ifname} is not there: make it, or the guest would be off its network`]
  if (!found.isTap) return [`its tap ${ifname} is another kind of interface now`]
  if (master === null || found.master === master) return []
  return [`its tap ${ifname} is not in ${master}: 'ip link set ${ifname} master ${master}'`]
}

function findInterface(ifname: string): Interface | undefined {
  // QEMU's user chose the name: it is an entry of that folder, and no way out of it.
  if (ifname.includes('/') || ifname === '..') return undefined
  const folder = `${INTERFACES}/${ifname}`
  try {
    readlinkSync(folder)
  } catch {
    return undefined
  }
  const flags = Number(orUndefined(() => readFileSync(`${folder}/tun_flags`, 'latin1').trim()) ?? 0)
  return {
    isTap: (flags & IFF_TAP) !== 0,
    isPersistent: (flags & IFF_PERSIST) !== 0,
    master: orUndefined(() => basename(readlinkSync(`${folder}/master`))) ?? null,
  }
}

function orUndefined(read: () => string): string | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
