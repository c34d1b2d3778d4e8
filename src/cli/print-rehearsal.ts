/** The rehearsal of an update as text or as JSON, all of it on standard output: it may be kept in a file. */
import type { ExpectedBlackout } from '../liveupdate/rehearsal/expected-blackout.ts'
import type { Rehearsal, RehearsedGuest } from '../liveupdate/rehearsal/rehearsal.ts'
import type { RehearsedLoad } from '../liveupdate/rehearsal/rehearse-load.ts'
import { formatDuration } from '../values/duration.ts'
import { formatSize } from '../values/size.ts'
import { findingOutput } from './json/finding-output.ts'
import { rehearsalOutput } from './json/rehearsal-output.ts'
import { planOutput } from './json/update-output.ts'
import { complain, print, printJson, printTable } from './print.ts'
import { PLAN_HEADER, planRows } from './print-plan.ts'

/**
 * One line goes to standard error as well where the update would not do all that it is to do. Returns the
 * exit status.
 */
export function printRehearsal(rehearsal: Rehearsal, asJson: boolean): number {
  const { isReady, plan, findings } = rehearsal
  if (asJson)
    printJson<'live-update'>({
      ready: isReady,
      plan: plan && planOutput(plan),
      rehearsal: rehearsalOutput(rehearsal),
      findings: findings.map(findingOutput),
      reports: [],
    })
  else
    for (const line of rehearsalLines(rehearsal)) {
      if (typeof line === 'string') print(line)
      else printTable(line.header, line.rows)
    }
  if (!isReady) complain(refusalLine(rehearsal))
  return isReady ? 0 : 1
}

interface TableOfLines {
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** What is printed as text. Pure. */
export function rehearsalLines({
  plan,
  load,
  guests,
  findings,
  isReady,
}: Rehearsal): (string | TableOfLines)[] {
  const isUnknown = guests.some(isStopped) && guests.every(({ expected }) => expected === null)
  return [
    ...(plan === null ? [] : [{ header: PLAN_HEADER, rows: [...planRows(plan), ['load', loadWords(load)]] }]),
    { header: ['GUEST', 'RAM', 'IS', 'BLACKOUT', 'LONGEST', 'KNOWN FROM'], rows: guests.map(guestRow) },
    ...(isUnknown ? ['how long guests are stopped is not known: there is no report of such an update'] : []),
    ...guests.flatMap(guestLines),
    ...findings.map(({ severity, message }) => `${severity === 'error' ? 'refused' : 'warning'}: ${message}`),
    ...(isReady ? ['ready: the rehearsal passed'] : []),
  ]
}

const isStopped = ({ fate, state }: RehearsedGuest): boolean => fate === 'carried' && state === 'running'

function loadWords(load: RehearsedLoad | null): string {
  if (load?.outcome === 'unloaded') return 'it was loaded, and unloaded again'
  return `${load?.outcome === 'left-out' ? 'it was not tried' : 'it failed'}: ${load?.why}`
}

function guestRow({ name, ramBytes, fate, state, expected }: RehearsedGuest): string[] {
  return [
    name,
    ramBytes === null ? '-' : formatSize(ramBytes),
    state === 'running' ? fate : `${fate}, ${state}`,
    formatDuration(expected?.medianUs),
    formatDuration(expected?.longestUs),
    expected === null ? '-' : sourceWords(expected),
  ]
}

const sourceWords = ({ count, of }: ExpectedBlackout): string =>
  `${count} of ${of === 'guest' ? 'its own' : "this host's guests"}`

function guestLines({ name, why, quitFirst }: RehearsedGuest): string[] {
  return [
    ...(why === null ? [] : [`${name}: ${why}`]),
    ...(typeof quitFirst === 'string' ? [`${name}: its old QEMU would have to end first: ${quitFirst}`] : []),
  ]
}

function refusalLine({ kind, guests }: Rehearsal): string {
  const carried = guests.filter(({ fate }) => fate === 'carried').length
  const goesOn = kind === 'vmm-only' && carried > 0
  return goesOn
    ? `not ready: ${carried} of ${guests.length} guests would be updated, what is refused stays as it is`
    : 'not ready: the update would be refused, and every guest would run on'
}
