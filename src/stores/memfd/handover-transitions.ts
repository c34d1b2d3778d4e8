/**
 * The state machine of a handover, as one table: who may do what in which state, and which state follows.
 * Pure. docs/internals/handover.md holds the same table, and a test holds the two together.
 */

import { BrokenInvariantError } from '../../values/errors.ts'
import { HANDOVER_STEPS, type HandoverStep } from '../../values/handover-step.ts'

/** Stored as the index, in the descriptor table: the order is part of its format. */
export const HANDOVER_STATES = ['idle', 'preserving', 'preserved', 'failed', 'unpreserving'] as const
export type HandoverState = (typeof HANDOVER_STATES)[number]

/** The last step that was begun, stored in the same way. */
export const LAST_STEPS = ['none', ...HANDOVER_STEPS] as const
export type LastStep = (typeof LAST_STEPS)[number]

/** Of a process that holds the pool's memory. */
export type Role = 'server' | 'keeper'

export type HandoverEvent =
  | 'begin ram'
  | 'begin files'
  | 'begin image'
  /** The keeper has preserved every object of the step, or could not. */
  | 'done'
  | 'fail'
  /** A thaw, or the operator, unpreserves everything. */
  | 'unpreserve'
  /** The keeper has closed the sessions. */
  | 'unpreserved'
  /** The server finds the keeper's socket closed. */
  | 'keeper died'
  /** A new keeper copies the table of the previous holder. */
  | 'take over'
  /** A keeper that the service manager started anew has the memfds, and no session. */
  | 'sessions lost'

export interface Transition {
  readonly on: HandoverEvent
  readonly by: Role
  readonly from: readonly HandoverState[]
  /** The step that was begun last; undefined: any. */
  readonly after?: readonly LastStep[]
  readonly to: HandoverState
}

export const TRANSITIONS: readonly Transition[] = [
  { on: 'begin ram', by: 'server', from: ['idle'], to: 'preserving' },
  { on: 'begin files', by: 'server', from: ['idle'], to: 'preserving' },
  { on: 'begin files', by: 'server', from: ['preserved'], after: ['ram'], to: 'preserving' },
  { on: 'begin image', by: 'server', from: ['preserved'], after: ['files'], to: 'preserving' },
  { on: 'done', by: 'keeper', from: ['preserving'], to: 'preserved' },
  { on: 'fail', by: 'keeper', from: ['preserving'], to: 'failed' },
  { on: 'fail', by: 'server', from: ['preserving'], to: 'failed' },
  { on: 'unpreserve', by: 'server', from: ['preserving', 'preserved', 'failed'], to: 'unpreserving' },
  { on: 'unpreserved', by: 'keeper', from: ['unpreserving'], to: 'idle' },
  { on: 'keeper died', by: 'server', from: ['preserving'], to: 'failed' },
  { on: 'keeper died', by: 'server', from: ['preserved'], after: ['ram', 'files'], to: 'failed' },
  { on: 'keeper died', by: 'server', from: ['unpreserving'], to: 'idle' },
  { on: 'take over', by: 'keeper', from: ['preserving', 'failed', 'unpreserving'], to: 'idle' },
  { on: 'take over', by: 'keeper', from: ['preserved'], after: ['ram', 'files'], to: 'idle' },
  {
    on: 'sessions lost',
    by: 'keeper',
    from: ['preserving', 'preserved', 'failed', 'unpreserving'],
    to: 'idle',
  },
]

/**
 * Events without an effect, which are no mistake: the two processes do not wait for one another, so an event
 * may come when the other process has changed the state already.
 */
export const IGNORED: readonly Omit<Transition, 'to'>[] = [
  { on: 'done', by: 'keeper', from: ['idle', 'preserved', 'failed', 'unpreserving'] },
  { on: 'fail', by: 'keeper', from: ['idle', 'preserved', 'failed', 'unpreserving'] },
  { on: 'fail', by: 'server', from: ['idle', 'preserved', 'failed', 'unpreserving'] },
  { on: 'unpreserve', by: 'server', from: ['idle', 'unpreserving'] },
  { on: 'unpreserved', by: 'keeper', from: ['idle', 'preserving', 'preserved', 'failed'] },
  { on: 'keeper died', by: 'server', from: ['idle', 'failed'] },
  { on: 'keeper died', by: 'server', from: ['preserved'], after: ['image'] },
  { on: 'take over', by: 'keeper', from: ['idle'] },
  { on: 'sessions lost', by: 'keeper', from: ['idle'] },
  { on: 'take over', by: 'keeper', from: ['preserved'], after: ['image'] },
]

export interface Position {
  readonly state: HandoverState
  readonly last: LastStep
}

/** The state that follows; the same one where the event has no effect; undefined where it is not allowed. */
export function nextState({ state, last }: Position, on: HandoverEvent, by: Role): HandoverState | undefined {
  const fits = (row: Omit<Transition, 'to'>): boolean =>
    row.on === on && row.by === by && row.from.includes(state) && (row.after?.includes(last) ?? true)
  const row = TRANSITIONS.find(fits)
  if (row !== undefined) return row.to
  return IGNORED.some(fits) ? state : undefined
}

/** As `nextState`. Throws BrokenInvariantError where the event is not allowed. */
export function requireNext(position: Position, on: HandoverEvent, by: Role): HandoverState {
  const next = nextState(position, on, by)
  if (next !== undefined) return next
  throw new BrokenInvariantError(
    `handover: '${on}' by the ${by} in state ${position.state} after step ${position.last}`,
  )
}

export const beginEvent = (step: HandoverStep): HandoverEvent => `begin ${step}`

/** The table as Markdown, for docs/internals/handover.md. */
export function transitionTable(): string {
  const cells = TRANSITIONS.map(({ on, by, from, after, to }) => [
    from.join(', '),
    after?.join(', ') ?? 'any',
    on,
    by,
    to,
  ])
  const head = ['in state', 'after step', 'event', 'by', 'becomes']
  const widths = head.map((_, column) => Math.max(...[head, ...cells].map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |\n`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('')
}
