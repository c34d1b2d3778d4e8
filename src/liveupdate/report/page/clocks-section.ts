/** How exact the times of the last update are, and where a clock was set while it was under way. */
import { formatDuration } from '../../../values/duration.ts'
import type { HostUpdate } from '../host-updates.ts'
import type { PhaseTime } from '../timeline.ts'
import { jumpOf } from './guest-bars.ts'
import { html, type Markup } from './html.ts'
import { countWords } from './page-words.ts'
import { phaseEndUs } from './time-axis.ts'

export function clocksSection(update: HostUpdate): Markup {
  const lines = [jumpLine(update), durationLine(update), guestsLine(update)].filter(
    (line) => line !== undefined,
  )
  if (lines.length === 0) return html``
  return html`<section><h2>How exact the times are</h2>
${lines.map((line) => html`<p>${line}</p>`)}</section>`
}

function jumpLine(update: HostUpdate): string | undefined {
  const jump = jumpOf(update)
  if (jump === undefined) return undefined
  return `Times before and after the jump are of two clocks, joined by the RTC: how long the jump took, and all that came after it, is known to within ${formatDuration(jump.uncertaintyUs)}. The hatched part of each row shows that.`
}

const durationLine = ({ durationUs }: HostUpdate): string | undefined =>
  durationUs >= 0
    ? undefined
    : `The update ends ${formatDuration(-durationUs)} before it begins: a clock was set back while it was under way.`

/** Times of a guest overlap by the rounding to microseconds where all is well. */
const ROUNDING_US = 1000

function guestsLine({ guests }: HostUpdate): string | undefined {
  const odd = guests.filter(({ phases }) => isOdd(phases))
  if (odd.length === 0) return undefined
  return `Of ${countWords(odd.length, 'guest')} a time is missing, or a phase begins before the one before it has ended, as where a clock was set back: their bars are not to scale (${odd.map(({ name }) => name).join(', ')}).`
}

function isOdd(phases: readonly PhaseTime[]): boolean {
  return phases.some((phase, index) => {
    const { startUs, durationUs } = phase
    const former = phases[index - 1]
    if (!Number.isFinite(startUs) || !Number.isFinite(durationUs) || durationUs < 0) return true
    return former !== undefined && startUs + ROUNDING_US < phaseEndUs(former)
  })
}
