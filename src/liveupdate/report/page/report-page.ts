/**
 * The report of the last live update, and the updates of the host over time, as one page of HTML. Pure. The
 * page needs no other file and no script, and its policy lets it load none. Must not: put text into it but by
 * `html`, which escapes it.
 */
import type { HostUpdate } from '../host-updates.ts'
import { isIntended } from '../update-report.ts'
import { clocksSection } from './clocks-section.ts'
import { guestsSection } from './guests-section.ts'
import { html, Markup } from './html.ts'
import { longestSection } from './longest-section.ts'
import { PAGE_STYLE } from './page-style.ts'
import { totalsSection } from './totals-section.ts'
import { troubledGuests } from './troubled-guests.ts'
import { updatesSection } from './updates-section.ts'

export interface ReportPage {
  /** The host's name. */
  readonly host: string
  /** undefined: there was none. */
  readonly last: HostUpdate | undefined
  /** All that are known, in the order in which they ended. */
  readonly updates: readonly HostUpdate[]
}

/** UTF-8 is for the caller to write. */
export const reportPage = ({ host, last, updates }: ReportPage): string =>
  html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Live updates of ${host}</title>
<style>${new Markup(PAGE_STYLE)}</style>
</head>
<body>
<main>
<h1>Live updates of <bdi>${host}</bdi></h1>
${last === undefined ? html`<p>There was no live update that is known.</p>` : lastUpdate(last)}
${updatesSection(updates)}
</main>
</body>
</html>
`.text

const lastUpdate = (update: HostUpdate): Markup =>
  html`<p class="verdict">${
    update.reports.every(isIntended)
      ? '✓ The last update did all that it was to do.'
      : '✗ The last update did not do all that it was to do.'
  }</p>
${troubledGuests(update)}
${totalsSection(update)}
${longestSection(update)}
${guestsSection(update)}
${clocksSection(update)}`
