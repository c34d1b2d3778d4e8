/**
 * The node:test reporter that the test runner reads: one JSON object a line for each finished test. Must not:
 * print for the operator. Event shapes: https://nodejs.org/api/test.html (class TestsStream).
 */
import type { EventData } from 'node:test'

/**
 * One finished test of a file. Suites and tests that only hold others are left out unless they failed by
 * themselves.
 */
export interface TestEvent {
  readonly name: string
  readonly outcome: 'passed' | 'failed' | 'skipped'
  /** Why it was skipped, or how it failed. */
  readonly reason?: string
}

type Source = AsyncIterable<{ type: string; data: unknown }>

/** `details.error` is ERR_TEST_FAILURE; what the test threw is its cause. */
function failure(data: EventData.TestFail): { reason: string; byChildren: boolean } {
  const { error } = data.details
  const cause = error.cause
  const reason = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause ?? error.message)
  return { reason, byChildren: 'failureType' in error && error.failureType === 'subtestsFailed' }
}

function eventOf(type: string, raw: unknown, hasChildren: boolean): TestEvent | undefined {
  if (type === 'test:fail') {
    const data = raw as EventData.TestFail
    const { reason, byChildren } = failure(data)
    return byChildren ? undefined : { name: data.name, outcome: 'failed', reason }
  }
  const data = raw as EventData.TestPass
  if (hasChildren) return undefined
  const skipped = data.skip ?? data.todo
  if (skipped === undefined || skipped === false) return { name: data.name, outcome: 'passed' }
  return {
    name: data.name,
    outcome: 'skipped',
    reason: skipped === true ? 'no reason given' : String(skipped),
  }
}

// biome-ignore lint/style/noDefaultExport: node --test-reporter takes a module's default export.
export default async function* eventLog(source: Source): AsyncGenerator<string> {
  // Node reports children before their parent: a deeper event since the last one of this depth is a child of
  // this one.
  let previousNesting = 0
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const { nesting, details } = data as EventData.TestPass
    const hasChildren = previousNesting > nesting || details.type === 'suite'
    previousNesting = nesting
    const event = eventOf(type, data, hasChildren)
    if (event) yield `${JSON.stringify(event)}\n`
  }
}
