/**
 * When the service manager started each unit and what came of it, as `systemctl show` prints it, and which
 * units a unit waited for.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { MIB } from '../../values/units.ts'

export interface UnitTimes {
  readonly id: string
  readonly after: readonly string[]
  /** It began to start, and was up: microseconds by CLOCK_MONOTONIC; 0: never. */
  readonly beganUs: number
  readonly activeUs: number
  /** `LoadState=` and `Result=`, as systemd has them; empty where it says none. */
  readonly loadState: string
  readonly result: string
}

export interface ManagerTimes {
  /** The manager of the real root began: microseconds by CLOCK_MONOTONIC. */
  readonly userspaceUs: number
  readonly units: ReadonlyMap<string, UnitTimes>
}

/** What a unit waited for, from the end of the wait before it. */
export interface UnitWait {
  readonly unit: string
  readonly startUs: number
  readonly durationUs: number
}

const PROPERTIES = [
  ...['Id', 'After', 'InactiveExitTimestampMonotonic', 'ActiveEnterTimestampMonotonic'],
  ...['LoadState', 'Result'],
]
const TIMEOUT_MS = 10_000
const MAX_BYTES = 16 * MIB

/** undefined: this machine has no systemd, or it does not answer. */
export function readManagerTimes(): ManagerTimes | undefined {
  if (!existsSync('/run/systemd/system')) return undefined
  const userspaceUs = Number(show('--property=UserspaceTimestampMonotonic', '--value'))
  // Those as well that are masked or missing, and that others ask for.
  const units = parseUnits(
    show('--all', ...PROPERTIES.map((property) => `--property=${property}`), '*') ?? '',
  )
  return units.size === 0 || !(userspaceUs > 0) ? undefined : { userspaceUs, units }
}

function show(...words: string[]): string | undefined {
  const options = { encoding: 'utf8', timeout: TIMEOUT_MS, maxBuffer: MAX_BYTES } as const
  const { status, stdout } = spawnSync('systemctl', ['show', ...words], options)
  return status === 0 ? stdout : undefined
}

/** An empty line separates units; each property has a line of its own. */
export function parseUnits(text: string): Map<string, UnitTimes> {
  const units = new Map<string, UnitTimes>()
  for (const block of text.split('\n\n')) {
    const of = (property: string): string => new RegExp(`^${property}=(.*)$`, 'm').exec(block)?.[1] ?? ''
    const id = of('Id')
    if (id === '') continue
    units.set(id, {
      id,
      after: of('After')
        .split(' ')
        .filter((word) => word !== ''),
      beganUs: Number(of('InactiveExitTimestampMonotonic')),
      activeUs: Number(of('ActiveEnterTimestampMonotonic')),
      loadState: of('LoadState'),
      result: of('Result'),
    })
  }
  return units
}

/**
 * What `unit` waited for until it began, in order, from the manager's start on: of the units that it is
 * ordered after the one that was up last, and so on backwards. The waits follow each other without a gap, and
 * what is left until `unit` began is its own.
 */
export function waitsOf(unit: string, { userspaceUs, units }: ManagerTimes): UnitWait[] {
  const chain: UnitTimes[] = []
  const seen = new Set([unit])
  let current = units.get(unit)
  while (current !== undefined) {
    const last = lastBefore(current, units, seen)
    if (last !== undefined) {
      seen.add(last.id)
      chain.unshift(last)
    }
    current = last
  }
  let startUs = userspaceUs
  return chain.flatMap(({ id, activeUs }) => {
    const durationUs = activeUs - startUs
    if (durationUs <= 0) return []
    const wait = { unit: id, startUs, durationUs }
    startUs = activeUs
    return [wait]
  })
}

function lastBefore(
  { after, beganUs }: UnitTimes,
  units: ReadonlyMap<string, UnitTimes>,
  seen: ReadonlySet<string>,
): UnitTimes | undefined {
  const before = after
    .flatMap((id) => units.get(id) ?? [])
    .filter(({ id, activeUs }) => activeUs > 0 && activeUs <= beganUs && !seen.has(id))
  return before.reduce<UnitTimes | undefined>(
    (last, each) => (last === undefined || each.activeUs > last.activeUs ? each : last),
    undefined,
  )
}
