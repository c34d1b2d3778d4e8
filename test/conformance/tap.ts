/** A script's results in the Test Anything Protocol, and the differences of two runs. */

/** The result of each check of a script by its number; `text` is the rest of its line. */
export type Checks = ReadonlyMap<number, { readonly passed: boolean; readonly text: string }>

export interface ScriptOutcome {
  readonly checks: Checks
  /** Why the script did not run to its end; undefined: it did. */
  readonly ended: string | undefined
}

export interface Difference {
  readonly check: number
  readonly text: string
}

const CHECK = /^(not )?ok (\d+)(?: -)? ?(.*)$/

export function parseTap(output: string): Checks {
  const checks = new Map<number, { passed: boolean; text: string }>()
  for (const line of output.split('\n')) {
    const [, failed, number, text = ''] = CHECK.exec(line) ?? []
    if (number !== undefined) checks.set(Number(number), { passed: failed === undefined, text })
  }
  return checks
}

export function countPassed(checks: Checks): number {
  let passed = 0
  for (const check of checks.values()) if (check.passed) passed++
  return passed
}

/** Checks that passed in `reference` and not in `subject`, also those that `subject` did not run. */
export function differences(reference: ScriptOutcome, subject: ScriptOutcome): Difference[] {
  const found: Difference[] = []
  for (const [check, { passed }] of reference.checks) {
    const other = subject.checks.get(check)
    if (passed && other?.passed !== true)
      found.push({ check, text: other?.text ?? `not reached: ${subject.ended ?? 'the script ended before'}` })
  }
  return found
}
