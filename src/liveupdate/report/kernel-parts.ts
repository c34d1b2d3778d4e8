/**
 * The kernel's and the service manager's part of a blackout: what each did between the jump and the mount,
 * and what would shorten it. Pure: the kernel's log and the manager's times in, parts out.
 */
import { consoleAdvice, initrdAdvice, unitAdvice } from '../../host/blackout-advice.ts'
import type { KernelLine } from '../../linux/kernel-log.ts'
import { KIB } from '../../values/units.ts'
import type { ManagerTimes } from './unit-times.ts'
import { waitsOf } from './unit-times.ts'

export interface KernelPart {
  /** In the words of the kernel or of systemd. */
  readonly part: string
  readonly durationUs: number
  /** What would shorten it; null: nothing is known. */
  readonly advice: string | null
}

export interface BootFacts {
  /** `jump` of the guests: the jump to the start of the next kernel's clock. */
  readonly jumpUs: number
  /** By the next kernel's clock: when mounting began. */
  readonly mountStartUs: number
  readonly log: readonly KernelLine[]
  readonly commandLine: readonly string[]
  /** undefined: no systemd. */
  readonly manager: ManagerTimes | undefined
  /** The unit that mounted the pool; undefined: none did. */
  readonly unit: string | undefined
}

/** Shorter waits are merged into one part. */
const LEAST_US = 50_000
const JUMP_ADVICE =
  "devices stop, purgatory runs, the kernel unpacks itself: 'guestmemfs doctor --blackout' says what would shorten it"
const INIT = /^Run (\S+) as init process/

/** In the order in which they happened. Empty where the kernel's log has lost its beginning. */
export function kernelParts(facts: BootFacts): KernelPart[] {
  const init = facts.log.find(({ text }) => INIT.test(text))
  if (init === undefined) return []
  const jump = { part: 'jump', durationUs: facts.jumpUs, advice: JUMP_ADVICE }
  const parts = [jump, kernelPart(facts, init.atUs), ...userspaceParts(facts, init)]
  return merged(parts.filter(({ durationUs }) => durationUs > 0))
}

/** The longest ones, longest first. */
export const longestParts = (parts: readonly KernelPart[], count = 3): KernelPart[] =>
  [...parts].sort((a, b) => b.durationUs - a.durationUs).slice(0, count)

function kernelPart({ log, commandLine }: BootFacts, durationUs: number): KernelPart {
  const initrdBytes = Number(textOf(log, /^Freeing initrd memory: (\d+)K/) ?? 0) * KIB
  const advice = [consoleAdvice(commandLine), initrdAdvice(initrdBytes)].filter((each) => each !== undefined)
  return {
    part: 'kernel to init',
    durationUs,
    advice: advice.length === 0 ? null : `shorter with ${advice.join('; ')}`,
  }
}

const textOf = (log: readonly KernelLine[], pattern: RegExp): string | undefined =>
  log.flatMap(({ text }) => pattern.exec(text)?.[1] ?? [])[0]

function userspaceParts({ manager, unit, mountStartUs }: BootFacts, init: KernelLine): KernelPart[] {
  const name = INIT.exec(init.text)?.[1] ?? ''
  const isInitrd = name === '/init' || name === '/linuxrc'
  if (manager === undefined)
    return [{ part: `${name} to mount`, durationUs: mountStartUs - init.atUs, advice: SCRIPTS_ADVICE }]
  const { userspaceUs } = manager
  const first = isInitrd
    ? [{ part: 'initrd', durationUs: userspaceUs - init.atUs, advice: INITRD_ADVICE }]
    : []
  const waits = unit === undefined ? [] : waitsOf(unit, manager)
  const last = waits.at(-1)
  const restUs = mountStartUs - (last === undefined ? userspaceUs : last.startUs + last.durationUs)
  return [
    ...first,
    ...waits.map(({ unit, durationUs }) => ({ part: unit, durationUs, advice: unitAdvice(unit) })),
    {
      part: 'units to mount',
      durationUs: restUs,
      advice: unit === undefined ? ORDER_ADVICE : UNITS_ADVICE,
    },
  ]
}

const INITRD_ADVICE = 'shorter with an initramfs that has fewer scripts and modules'
const SCRIPTS_ADVICE = "shorter where init runs 'guestmemfs mount' before what guests do not need"
const ORDER_ADVICE =
  "shorter where what mounts the pool is ordered before what guests do not need: 'guestmemfs install' has units for it"
const UNITS_ADVICE =
  'shorter with fewer units that start at the same time, and take the processors: systemd-analyze plot'

/** Short waits one after the other become one part. */
function merged(parts: readonly KernelPart[]): KernelPart[] {
  const result: KernelPart[] = []
  for (const part of parts) {
    const last = result.at(-1)
    const isShort = part.durationUs < LEAST_US && part.part.includes('.')
    if (isShort && last?.part === SHORT)
      result[result.length - 1] = { ...last, durationUs: last.durationUs + part.durationUs }
    else result.push(isShort ? { part: SHORT, durationUs: part.durationUs, advice: null } : part)
  }
  return result
}
const SHORT = 'short units'
