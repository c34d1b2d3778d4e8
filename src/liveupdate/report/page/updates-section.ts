/** The second section of the page: the updates of this host over time, one bar each. */
import { formatDuration } from '../../../values/duration.ts'
import type { HostUpdate } from '../host-updates.ts'
import { isIntended } from '../update-report.ts'
import { html, type Markup } from './html.ts'
import { countWords, dateWords, KINDS } from './page-words.ts'
import { kernelChangeWords, outcomeWords, qemuWords } from './totals-section.ts'

/** `updates`: in the order in which they ended; the last one is shown first. */
export function updatesSection(updates: readonly HostUpdate[]): Markup {
  if (updates.length === 0) return html``
  const mostUs = Math.max(1, ...updates.map((update) => longestUs(update) ?? 0))
  return html`<section><h2>Updates of this host</h2>
<table class="updates"><caption>${countWords(updates.length, 'update')}, the last one first. Each bar is the longest blackout of a guest in it.</caption>
<thead><tr><th scope="col">Began</th><th scope="col">Update</th><th scope="col">Outcome</th><th scope="col">Longest blackout</th></tr></thead>
<tbody>
${updates.toReversed().map((update) => row(update, mostUs))}</tbody></table></section>`
}

function row(update: HostUpdate, mostUs: number): Markup {
  const us = longestUs(update)
  const percent = us === undefined ? 0 : Math.round((Math.max(0, us) / mostUs) * 1000) / 10
  return html`<tr><th scope="row">${dateWords(update.startedAtMs)}</th><td>${KINDS[update.kind]}<br><span class="dim">${
    kernelChangeWords(update) || qemuWords(update.guests)
  }</span></td><td>${update.reports.every(isIntended) ? '✓' : '✗'} ${outcomeWords(update)}</td><td>${
    us === undefined ? 'none is known' : formatDuration(us)
  }<div class="track" aria-hidden="true"><span class="bar blackout" style="left:0%;width:${percent}%"></span></div></td></tr>
`
}

/** undefined: no guest of it has one. */
function longestUs({ guests }: HostUpdate): number | undefined {
  const known = guests.flatMap(({ blackoutUs }) =>
    blackoutUs !== null && Number.isFinite(blackoutUs) ? blackoutUs : [],
  )
  return known.length === 0 ? undefined : Math.max(...known)
}
