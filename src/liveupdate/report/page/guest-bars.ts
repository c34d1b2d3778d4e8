/** The phases of one guest as bars on the page's time axis, with the jump and how exactly it is known. */
import { formatDuration } from '../../../values/duration.ts'
import type { HostUpdate } from '../host-updates.ts'
import { PHASES, type PhaseTime, type VmTimeline } from '../timeline.ts'
import { html, type Markup } from './html.ts'
import { phaseEndUs, spanOn, type TimeAxis } from './time-axis.ts'

/** Where the jump is on the axis, and how far times after it may be off. */
export interface JumpTimes {
  readonly atUs: number
  readonly endUs: number
  readonly uncertaintyUs: number
}

/** undefined: there was no jump, or no guest has a time of it. */
export function jumpOf({ reports, guests }: HostUpdate): JumpTimes | undefined {
  const kernels = reports.flatMap(({ kernel }) => (kernel === undefined ? [] : [kernel]))
  if (!kernels.some(({ after }) => after !== null)) return undefined
  const jumps = guests
    .flatMap(({ phases }) => phases.filter(({ phase }) => phase === 'jump'))
    .filter((jump) => Number.isFinite(jump.startUs) && Number.isFinite(jump.durationUs))
    .sort((a, b) => a.startUs - b.startUs)
  const [first] = jumps
  if (first === undefined) return undefined
  const uncertaintyUs = Math.max(...kernels.map(({ clockUncertaintyUs }) => clockUncertaintyUs))
  return { atUs: first.startUs, endUs: phaseEndUs(first), uncertaintyUs }
}

/** The number that stands for each phase in its bar, and in the legend. */
export const numberOf = ({ phase }: Pick<PhaseTime, 'phase'>): number => PHASES.indexOf(phase) + 1

/** A narrower bar has no room for its number. */
const NUMBERED_PERCENT = 4

/** One row of the axis. What it shows is in its label as well, and in the table of figures. */
export function guestBars({ phases }: VmTimeline, axis: TimeAxis, jump: JumpTimes | undefined): Markup {
  if (phases.length === 0) return html`<div class="track">${marks(axis, jump)}<i>no times are known</i></div>`
  const words = phases.map(({ phase, durationUs }) => `${phase} ${formatDuration(durationUs)}`)
  return html`<div class="track" role="img" aria-label="${words.join(', ')}">${marks(axis, jump)}${phases.map(
    (phase) => bar(phase, axis),
  )}</div>`
}

function bar(time: PhaseTime, axis: TimeAxis): Markup | undefined {
  const span = spanOn(axis, time.startUs, phaseEndUs(time))
  if (span === undefined) return undefined
  const { leftPercent, widthPercent, isCut } = span
  const title = `${time.phase}: ${formatDuration(time.durationUs)}, from ${formatDuration(time.startUs)} on`
  const label = `${isCut ? '◂' : ''}${widthPercent >= NUMBERED_PERCENT ? numberOf(time) : ''}`
  return html`<span class="bar ${time.phase}" style="left:${leftPercent}%;width:${widthPercent}%" title="${title}">${label}</span>`
}

/** Lines through the row: the jump, and around its end how exactly the two clocks are joined. */
function marks(axis: TimeAxis, jump: JumpTimes | undefined): MarkupList {
  if (jump === undefined) return []
  const { atUs, endUs, uncertaintyUs } = jump
  const line = spanOn(axis, atUs, atUs)
  const doubt = uncertaintyUs > 0 ? spanOn(axis, endUs - uncertaintyUs, endUs + uncertaintyUs) : undefined
  return [
    doubt &&
      html`<span class="doubt" style="left:${doubt.leftPercent}%;width:${doubt.widthPercent}%"></span>`,
    line && html`<span class="jump-line" style="left:${line.leftPercent}%"></span>`,
  ]
}

type MarkupList = readonly (Markup | undefined)[]
