/** The wait for what a guest needs of its host and that may yet come, as at boot. */
import { setTimeout as sleep } from 'node:timers/promises'
import { UsageError } from '../values/errors.ts'

const POLL_MS = 100

/** Errors (UsageError): the first of `problems()`, when there are some still after `timeoutMs`. */
export async function waitUntilFine(problems: () => readonly string[], timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const [problem] = problems()
    if (problem === undefined) return
    if (performance.now() >= deadline) throw new UsageError(problem)
    await sleep(POLL_MS)
  }
}
