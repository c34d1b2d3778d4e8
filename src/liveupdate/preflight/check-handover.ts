/**
 * Owns what speaks against handing memfds over to the next kernel: this kernel's orchestrator, the next one's, its command line, memory for
 * the holes of sparse files, and the state of each pool. Pure.
 */
import { formatSize } from '../../values/size.ts'
import { MIB } from '../../values/units.ts'
import type { PoolFacts } from './check-pools.ts'
import { type PreflightFinding, refuse, warn } from './finding.ts'
import type { HandoverAbi } from './handover-abi.ts'

export interface HandoverCheck {
  /** Those whose memory is handed over. */
  readonly pools: readonly PoolFacts[]
  /** `busy`, `broken`: what opening /dev/liveupdate said. */
  readonly device: 'ready' | 'busy' | 'broken'
  /** undefined: it could not be found out. */
  readonly now: HandoverAbi | undefined
  readonly next: HandoverAbi | undefined
  /** The next kernel's command line, in its words. */
  readonly words: readonly string[]
  readonly availableBytes: number
}

/** Both are off where they are not said. */
export const LIVE_UPDATE_WORDS = ['kho=on', 'liveupdate=on'] as const
const ON = /^(?:on|1|y|Y)/
/** Each page is described to the next kernel in some bytes, and each file in some pages. */
const MARGIN_BYTES = 32 * MIB

export function checkHandover(check: HandoverCheck): PreflightFinding[] {
  if (check.pools.length === 0) return []
  return [
    ...checkDevice(check.device),
    ...checkWords(check.words),
    ...checkAbi(check),
    ...check.pools.flatMap(checkPool),
    ...checkHoles(check),
  ]
}

function checkDevice(device: HandoverCheck['device']): PreflightFinding[] {
  switch (device) {
    case 'ready':
      return []
    case 'busy':
      return [refuse('another process has /dev/liveupdate open, and only one can: end it first')]
    case 'broken':
      return [
        refuse(
          'this kernel could not read what the former one handed over, and hands nothing over itself: see dmesg, and reboot',
        ),
      ]
    default:
      return device satisfies never
  }
}

function checkWords(words: readonly string[]): PreflightFinding[] {
  const missing = LIVE_UPDATE_WORDS.filter((wanted) => !isOn(words, wanted.split('=')[0] as string))
  if (missing.length === 0) return []
  return [
    refuse(`the next kernel would lose what is handed over: add ${missing.join(' ')} to its command line`),
  ]
}

/** The last one counts. */
function isOn(words: readonly string[], name: string): boolean {
  const said = words.findLast((word) => word.startsWith(`${name}=`))
  return said !== undefined && ON.test(said.slice(name.length + 1))
}

function checkAbi({ now, next }: HandoverCheck): PreflightFinding[] {
  if (next === undefined)
    return [
      refuse(
        'whether the next kernel can take memory over cannot be seen in its image: it is compressed in a way that nothing here unpacks (install xz-utils, lz4 or bzip2)',
      ),
    ]
  const { kho, luo, memfd } = next
  if (kho === undefined || luo === undefined || memfd === undefined)
    return [
      refuse(
        'the next kernel cannot take memory over: it has no live update orchestrator for memfds (CONFIG_LIVEUPDATE, CONFIG_LIVEUPDATE_MEMFD)',
      ),
    ]
  if (now === undefined)
    return [
      refuse(
        'whether the next kernel understands what this one hands over cannot be known: no image of the running kernel is found in /boot',
      ),
    ]
  const differing = (['kho', 'luo', 'memfd'] as const).filter((format) => now[format] !== next[format])
  if (differing.length === 0) return []
  const what = differing.map((format) => `${now[format] ?? 'nothing'} against its ${next[format]}`).join(', ')
  return [
    refuse(
      `the next kernel would lose all memory: it does not understand what this one hands over (${what})`,
    ),
  ]
}

function checkPool({ pool, handover }: PoolFacts): PreflightFinding[] {
  if (handover === undefined) return []
  const findings: PreflightFinding[] = []
  if (handover.awaitedFiles > 0)
    findings.push(
      refuse(
        `${handover.awaitedFiles} files of pool '${pool}' are still on their way from the former kernel: wait for them (guestmemfs status ${pool})`,
      ),
    )
  if (handover.state !== 'idle')
    findings.push(
      refuse(`pool '${pool}' is being handed over already: 'guestmemfs thaw ${pool}' takes that back`),
    )
  if (handover.lostFiles > 0)
    findings.push(
      warn(
        `${handover.lostFiles} files of pool '${pool}' were lost before, and stay so: delete or empty them`,
      ),
    )
  return findings
}

/** Preserving fills the holes of a file (memfd_pin_folios). */
function checkHoles({ pools, availableBytes }: HandoverCheck): PreflightFinding[] {
  const holeBytes = pools.reduce((sum, { handover }) => sum + (handover?.holeBytes ?? 0), 0)
  if (holeBytes + MARGIN_BYTES <= availableBytes) return []
  return [
    refuse(
      `handing over fills the holes of sparse files, which takes ${formatSize(holeBytes)} more, and ${formatSize(availableBytes)} are free: free some`,
    ),
  ]
}
