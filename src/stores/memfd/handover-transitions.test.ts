/**
 * Tests of the handover's state machine: every row, every role, every death, and that the page in docs/ says
 * the same.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { EIO } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import { HandoverWords } from './handover-status.ts'
import {
  HANDOVER_STATES,
  type HandoverEvent,
  type HandoverState,
  IGNORED,
  LAST_STEPS,
  type LastStep,
  nextState,
  type Position,
  type Role,
  TRANSITIONS,
  transitionTable,
} from './handover-transitions.ts'

const EVENTS = [...new Set([...TRANSITIONS, ...IGNORED].map(({ on }) => on))]
const ROLES: readonly Role[] = ['server', 'keeper']
const key = ({ state, last }: Position): string => `${state} after ${last}`

/** Positions that can be: a step was begun in every state but `idle`, and none in that. */
const POSITIONS: Position[] = HANDOVER_STATES.flatMap((state) =>
  LAST_STEPS.filter((last) => (state === 'idle') === (last === 'none')).map((last) => ({ state, last })),
)

/** The position after an event, with the step that it begins. */
function follow(position: Position, on: HandoverEvent, by: Role): Position | undefined {
  const state = nextState(position, on, by)
  if (state === undefined) return undefined
  if (state === 'idle') return { state, last: 'none' }
  const begun = /^begin (\w+)$/.exec(on)?.[1] as LastStep | undefined
  return { state, last: begun ?? position.last }
}

/** Real words in this position, as the other process left them. */
function wordsIn({ state, last }: Position, role: Role): HandoverWords {
  const words = new Int32Array(new SharedArrayBuffer(64))
  words[0] = LAST_STEPS.indexOf(last)
  words[1] = HANDOVER_STATES.indexOf(state)
  return new HandoverWords(words, role)
}

test('no two rows are for the same event in the same position', () => {
  for (const position of POSITIONS)
    for (const on of EVENTS)
      for (const by of ROLES) {
        const rows = [...TRANSITIONS, ...IGNORED].filter((row) => {
          const isAfter = row.after === undefined || row.after.includes(position.last)
          return row.on === on && row.by === by && row.from.includes(position.state) && isAfter
        })
        assert.ok(rows.length <= 1, `${key(position)}, ${on} by ${by}`)
      }
})

test('an event belongs to one role, but for a failure, and is a broken invariant from the other', () => {
  for (const on of EVENTS.filter((event) => event !== 'fail')) {
    const roles = new Set([...TRANSITIONS, ...IGNORED].filter((row) => row.on === on).map(({ by }) => by))
    assert.equal(roles.size, 1, on)
    const other: Role = roles.has('server') ? 'keeper' : 'server'
    for (const position of POSITIONS) {
      assert.equal(nextState(position, on, other), undefined)
      if (!on.startsWith('begin'))
        assert.throws(() => wordsIn(position, other).apply(on), BrokenInvariantError)
    }
  }
})

test('what is no beginning is answered in every position: no process waits for the other', () => {
  for (const position of POSITIONS)
    for (const { on, by } of [...TRANSITIONS, ...IGNORED])
      if (!on.startsWith('begin'))
        assert.notEqual(nextState(position, on, by), undefined, `${key(position)}, ${on}`)
})

test('every row does what it says to the words themselves', () => {
  for (const { on, by, from, after, to } of TRANSITIONS)
    for (const state of from)
      for (const last of after ?? LAST_STEPS.filter((step) => (state === 'idle') === (step === 'none'))) {
        const words = wordsIn({ state, last }, by)
        const step = /^begin (ram|files|image)$/.exec(on)?.[1] as 'ram' | 'files' | 'image' | undefined
        if (step !== undefined) words.begin(step, 3)
        else if (on === 'fail') words.fail(EIO, undefined)
        else assert.equal(words.apply(on), true)
        assert.equal(words.state, to, `${state} after ${last}, ${on} by ${by}`)
        assert.equal(words.last, to === 'idle' ? 'none' : (step ?? last))
      }
})

test('what has no effect changes nothing', () => {
  for (const { on, by, from, after } of IGNORED)
    for (const state of from)
      for (const last of after ?? LAST_STEPS.filter((step) => (state === 'idle') === (step === 'none'))) {
        const words = wordsIn({ state, last }, by)
        if (on === 'fail') words.fail(EIO, undefined)
        else assert.equal(words.apply(on), false)
        assert.deepEqual([words.state, words.last], [state, last])
      }
})

test('a beginning is refused where it is not the next one', () => {
  for (const position of POSITIONS)
    for (const step of ['ram', 'files', 'image'] as const) {
      const words = wordsIn(position, 'server')
      if (words.allows(`begin ${step}`)) continue
      assert.throws(() => words.begin(step, 1), BrokenInvariantError)
      assert.deepEqual([words.state, words.last], [position.state, position.last])
    }
})

/** Whatever may happen from `start` on: all positions that can be reached. */
function reachable(start: Position, events: readonly [HandoverEvent, Role][]): Map<string, Position> {
  const seen = new Map([[key(start), start]])
  for (const position of seen.values())
    for (const [on, by] of events) {
      const next = follow(position, on, by)
      if (next !== undefined && !seen.has(key(next))) seen.set(key(next), next)
    }
  return seen
}

const ALL = [...TRANSITIONS, ...IGNORED].map(({ on, by }) => [on, by] as [HandoverEvent, Role])

test('every position can be reached, and whichever process dies, each leads to idle again and to a complete handover', () => {
  const idle: Position = { state: 'idle', last: 'none' }
  assert.deepEqual([...reachable(idle, ALL).keys()].toSorted(), POSITIONS.map(key).toSorted())
  for (const position of POSITIONS) {
    // The server asks for it, and the keeper does it, dies of it, or is followed by another.
    for (const end of ['unpreserved', 'keeper died', 'take over', 'sessions lost'] as const) {
      const by: Role = end === 'keeper died' ? 'server' : 'keeper'
      const undone = [
        ['unpreserve', 'server'],
        [end, by],
      ] as [HandoverEvent, Role][]
      assert.ok(reachable(position, undone).has(key(idle)), `${key(position)}: unpreserve, ${end}`)
    }
    assert.ok(reachable(position, ALL).has('preserved after image'), key(position))
  }
})

test('a complete handover outlives either process, and no other does', () => {
  for (const position of POSITIONS) {
    const isComplete = position.state === 'preserved' && position.last === 'image'
    const survives = (on: HandoverEvent, by: Role): boolean => nextState(position, on, by) === 'preserved'
    assert.equal(survives('keeper died', 'server'), isComplete, key(position))
    assert.equal(survives('take over', 'keeper'), isComplete, key(position))
    assert.equal(wordsIn(position, 'keeper').isComplete, isComplete)
  }
})

test('the states and steps have the numbers that a table of an older keeper has', () => {
  const numbers: HandoverState[] = ['idle', 'preserving', 'preserved', 'failed', 'unpreserving']
  assert.deepEqual([...HANDOVER_STATES], numbers)
  assert.deepEqual([...LAST_STEPS], ['none', 'ram', 'files', 'image'])
})

test('the page says what the table says', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/internals/handover.md'), 'utf8')
  const [, printed] = /<!-- transitions -->\n\n([\s\S]*?)\n<!-- end -->/.exec(page) ?? []
  assert.equal(printed, transitionTable())
})
