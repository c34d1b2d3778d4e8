/** The guests of the last update: bars on one time axis, what the bars mean, and the figures as a table. */
import { formatDuration } from '../../../values/duration.ts'
import type { HostUpdate } from '../host-updates.ts'
import { PHASES, type VmTimeline } from '../timeline.ts'
import { reportTable } from '../update-report.ts'
import { guestBars, type JumpTimes, jumpOf, numberOf } from './guest-bars.ts'
import { html, type Markup } from './html.ts'
import { countWords, OUTCOMES, PHASE_ENDS } from './page-words.ts'
import { spanOn, type TimeAxis, timeAxis } from './time-axis.ts'
import { severityOf } from './troubled-guests.ts'

/** Ticks further right than this have their words on their left. */
const LATE_PERCENT = 75

export function guestsSection(update: HostUpdate): Markup {
  if (update.guests.length === 0)
    return html`<section><h2>Guests</h2><p>No guest took part in this update.</p></section>`
  const guests = [...update.guests].sort(byWeight)
  const axis = timeAxis(
    guests.flatMap(({ phases }) => phases),
    update.durationUs,
  )
  const jump = jumpOf(update)
  return html`<section><h2>Guests</h2>
<table class="guests"><caption>${countWords(guests.length, 'guest')} on one time axis, which begins with the update. ${
    jump === undefined
      ? ''
      : `The line across all rows is the jump into the next kernel, at ${formatDuration(jump.atUs)}.`
  }</caption>
<colgroup><col class="name"><col class="figure"><col></colgroup>
<thead><tr><th scope="col">Guest</th><th scope="col">Blackout</th><th scope="col">Phases ${ticks(axis, jump)}</th></tr></thead>
<tbody>
${guests.map((guest) => row(guest, axis, jump))}</tbody></table>
${legend(guests)}
${figures(guests)}</section>`
}

/** Guests that do not run or were not updated first, then the longest blackout. */
function byWeight(a: VmTimeline, b: VmTimeline): number {
  return (
    severityOf(b.outcome) - severityOf(a.outcome) ||
    (b.blackoutUs ?? 0) - (a.blackoutUs ?? 0) ||
    (a.name < b.name ? -1 : 1)
  )
}

function row(guest: VmTimeline, axis: TimeAxis, jump: JumpTimes | undefined): Markup {
  const { name, outcome, blackoutUs } = guest
  return html`<tr><th scope="row"><bdi>${name}</bdi> <span class="outcome ${outcome}">${OUTCOMES[outcome].mark} ${outcome}</span></th><td>${
    blackoutUs === null ? 'none known' : formatDuration(blackoutUs)
  }</td><td>${guestBars(guest, axis, jump)}</td></tr>
`
}

function ticks(axis: TimeAxis, jump: JumpTimes | undefined): Markup {
  const at = jump && spanOn(axis, jump.atUs, jump.atUs)
  return html`<div class="axis" aria-hidden="true">${axis.ticksUs.map((us) =>
    tick(spanOn(axis, us, us)?.leftPercent ?? 0, tickWords(us), 'tick'),
  )}${at && tick(at.leftPercent, 'jump', 'tick jump-tick')}</div>`
}

const tick = (percent: number, words: string, kind: string): Markup =>
  html`<span class="${kind}${percent > LATE_PERCENT ? ' late' : ''}" style="left:${percent}%">${words}</span>`

/** `2.00 s` is `2 s`. */
const tickWords = (us: number): string => formatDuration(us).replace(/\.0+ /, ' ')

function legend(guests: readonly VmTimeline[]): Markup {
  const used = PHASES.filter((phase) =>
    guests.some(({ phases }) => phases.some((time) => time.phase === phase)),
  )
  if (used.length === 0) return html``
  return html`<h3>Phases</h3><p>Each ends where the next begins; a bar that begins with ◂ began before the update.</p>
<dl class="legend">${used.map(
    (phase) =>
      html`<div><dt><span class="swatch ${phase}">${numberOf({ phase })}</span> ${phase}</dt><dd>until ${PHASE_ENDS[phase]}</dd></div>`,
  )}</dl>`
}

/** The same as `guestmemfs report` prints: the bars in figures. */
function figures(guests: readonly VmTimeline[]): Markup {
  const { header, rows } = reportTable({ vms: guests })
  return html`<h3>Figures</h3><div class="scroll" role="region" aria-label="Figures of each guest" tabindex="0"><table class="figures"><caption>Each guest's phases and blackout</caption>
<thead><tr>${header.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead>
<tbody>
${rows.map(
  ([name = '', ...cells]) =>
    html`<tr><th scope="row"><bdi>${name}</bdi></th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>
`,
)}</tbody></table></div>`
}
