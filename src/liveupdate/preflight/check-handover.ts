/**
 * Checks that this kernel can hand memfds over to the next one: both orchestrators, the next command line,
 * memory for the holes of sparse files, the state of each pool. Pure.
 */

import { luoDoubt } from '../../host/luo-kernels.ts'
import { parseVersion } from '../../host/version.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'
import { formatSize } from '../../values/size.ts'
import { MIB } from '../../values/units.ts'
import type { HandoverAbi } from './handover-abi.ts'
import type { LiveUpdateDevice } from './host-facts.ts'
import type { PoolFacts } from './pool-facts.ts'

export interface HandoverCheck {
  /** The running kernel's, as `uname -r` prints it. */
  readonly release: string
  /** Pools whose memory is handed over. */
  readonly pools: readonly PoolFacts[]
  readonly device: LiveUpdateDevice
  /** undefined: it is not known. */
  readonly now: HandoverAbi | undefined
  readonly next: HandoverAbi | undefined
  /** The next kernel's command line, in its words. */
  readonly words: readonly string[]
  readonly availableBytes: number
}

/** Both are off by default. */
export const LIVE_UPDATE_WORDS = ['kho=on', 'liveupdate=on'] as const
const ON = /^(?:on|1|y|Y)/
/** Each page is described to the next kernel in some bytes, and each file in some pages. */
const MARGIN_BYTES = 32 * MIB

export function checkHandover(check: HandoverCheck): Finding[] {
  if (check.pools.length === 0) return []
  return [
    ...checkRelease(check.release),
    ...checkDevice(check.device),
    ...checkWords(check.words),
    ...checkAbi(check),
    ...check.pools.flatMap(checkPool),
    ...checkHoles(check),
  ]
}

function checkRelease(release: string): Finding[] {
  const version = parseVersion(release)
  const doubt = version && luoDoubt(version)
  if (doubt === undefined) return []
  return [doubt.loses ? fail('kernel', doubt.why) : warn('kernel', doubt.why)]
}

function checkDevice(device: LiveUpdateDevice): Finding[] {
  switch (device) {
    case 'ready':
      return []
    case 'busy':
      return [fail('host', 'another process has /dev/liveupdate open, and only one can: end it first')]
    case 'broken':
      return [
        fail(
          'host',
          'this kernel could not read what the former one handed over, and hands nothing over itself: see dmesg, and reboot',
        ),
      ]
    default:
      return device satisfies never
  }
}

function checkWords(words: readonly string[]): Finding[] {
  const missing = LIVE_UPDATE_WORDS.filter((wanted) => !isOn(words, wanted.split('=')[0] as string))
  if (missing.length === 0) return []
  return [
    fail(
      'command line',
      `the next kernel would lose what is handed over: add ${missing.join(' ')} to its command line`,
    ),
  ]
}

/** The last one counts. */
function isOn(words: readonly string[], name: string): boolean {
  const said = words.findLast((word) => word.startsWith(`${name}=`))
  return said !== undefined && ON.test(said.slice(name.length + 1))
}

function checkAbi({ now, next }: HandoverCheck): Finding[] {
  if (next === undefined)
    return [
      fail(
        'kernel',
        'whether the next kernel can take memory over cannot be seen in its image: it is compressed in a way that nothing here unpacks (install xz-utils, lz4 or bzip2)',
      ),
    ]
  const { kho, luo, memfd } = next
  if (kho === undefined || luo === undefined || memfd === undefined)
    return [
      fail(
        'kernel',
        'the next kernel cannot take memory over: it has no live update orchestrator for memfds (CONFIG_LIVEUPDATE, CONFIG_LIVEUPDATE_MEMFD)',
      ),
    ]
  if (now === undefined)
    return [
      fail(
        'kernel',
        'whether the next kernel can read what this one hands over is not known: no image of the running kernel is found in /boot',
      ),
    ]
  const differing = (['kho', 'luo', 'memfd'] as const).filter((format) => now[format] !== next[format])
  if (differing.length === 0) return []
  const what = differing.map((format) => `${now[format] ?? 'nothing'} against its ${next[format]}`).join(', ')
  return [
    fail(
      'kernel',
      `the next kernel would lose all memory: it cannot read what this one hands over (${what})`,
    ),
  ]
}

function checkPool({ pool, handover }: PoolFacts): Finding[] {
  if (handover === undefined) return []
  const subject = `pool ${pool}`
  const findings: Finding[] = []
  if (handover.awaitedFiles > 0)
    findings.push(
      fail(
        subject,
        `the keeper of pool '${pool}' has not yet retrieved ${handover.awaitedFiles} files from the former kernel: wait for it (guestmemfs status ${pool})`,
      ),
    )
  if (handover.state !== 'idle')
    findings.push(
      fail(subject, `pool '${pool}' is being handed over already: 'guestmemfs thaw ${pool}' undoes that`),
    )
  if (handover.lostFiles > 0)
    findings.push(
      warn(
        subject,
        `${handover.lostFiles} files of pool '${pool}' were lost before, and stay so: delete or empty them`,
      ),
    )
  return findings
}

/** Preserving fills the holes of a file (memfd_pin_folios). */
function checkHoles({ pools, availableBytes }: HandoverCheck): Finding[] {
  const holeBytes = pools.reduce((sum, { handover }) => sum + (handover?.holeBytes ?? 0), 0)
  if (holeBytes + MARGIN_BYTES <= availableBytes) return []
  return [
    fail(
      'host',
      `handing over fills the holes of sparse files, which takes ${formatSize(holeBytes)} more, and ${formatSize(availableBytes)} are free: free some`,
    ),
  ]
}
