/** The scenarios that a turn of CI must run, and those that it may. Pure. */

/** Within so many turns in a row every scenario has run. */
export const TURNS = 12

export interface Turn {
  /** Run whatever the time is. */
  readonly own: readonly string[]
  /** Run as far as they fit, in this order: those of the next turns first. */
  readonly more: readonly string[]
}

export function turnOf(names: readonly string[], turn: number): Turn {
  const share = Math.ceil(names.length / TURNS)
  const first = names.length === 0 ? 0 : ((turn % TURNS) * share) % names.length
  const order = [...names.slice(first), ...names.slice(0, first)]
  return { own: order.slice(0, share), more: order.slice(share) }
}
