/** What took longest in the last update, and what would shorten it. */
import { formatDuration } from '../../../values/duration.ts'
import type { HostUpdate } from '../host-updates.ts'
import { type KernelPart, longestParts } from '../kernel-parts.ts'
import type { PhaseTime, VmTimeline } from '../timeline.ts'
import { html, type Markup } from './html.ts'

export function longestSection(update: HostUpdate): Markup {
  const parts = [
    longestBlackout(update.guests),
    quitFirst(update.guests),
    notBeforeMount(update),
    ...kernelTables(update),
  ]
  if (parts.every((part) => part === undefined)) return html``
  return html`<section><h2>What took longest</h2>
${parts}</section>`
}

/** The guest that was stopped for the longest time, and what of it. */
function longestBlackout(guests: readonly VmTimeline[]): Markup | undefined {
  const stopped = guests.filter(({ blackoutUs }) => blackoutUs !== null && Number.isFinite(blackoutUs))
  const longest = stopped.reduce<VmTimeline | undefined>(
    (most, each) => ((each.blackoutUs ?? 0) > (most?.blackoutUs ?? -1) ? each : most),
    undefined,
  )
  if (longest === undefined) return undefined
  const [phase] = [...longest.phases].sort((a, b) => b.durationUs - a.durationUs)
  return html`<p>Guest <bdi>${longest.name}</bdi> was stopped longest, for ${formatDuration(longest.blackoutUs ?? 0)}${phaseOf(phase)}.</p>`
}

const phaseOf = (phase: PhaseTime | undefined): string =>
  phase === undefined ? '' : `, of which ${formatDuration(phase.durationUs)} were its phase ‘${phase.phase}’`

/** Of an update of QEMU alone: these guests were stopped while their next QEMU started. */
function quitFirst(guests: readonly VmTimeline[]): Markup | undefined {
  const reasons = guests.flatMap(({ name, quitFirst }) =>
    typeof quitFirst === 'string' ? [{ name, quitFirst }] : [],
  )
  if (reasons.length === 0) return undefined
  return html`<p>The old QEMU of these guests had to end before the next one was started; without the reason the guest is stopped for less time:</p>
<ul>${reasons.map(({ name, quitFirst }) => html`<li><bdi>${name}</bdi>: ${quitFirst}</li>`)}</ul>
`
}

/** Of an update of the kernel: guests waited for their mounts that need not have. */
function notBeforeMount({ reports }: HostUpdate): Markup | undefined {
  const lines = reports.flatMap(({ kernel }) => kernel?.early ?? [])
  if (lines.length === 0) return undefined
  return html`<p>These guests could have gone on before the mount of their pool:</p>
<ul>${lines.map((line) => html`<li><bdi>${line}</bdi></li>`)}</ul>
`
}

/** Mounts of one update may have waited for different units. */
function kernelTables({ reports }: HostUpdate): Markup[] {
  const tables = new Map<string, { parts: readonly KernelPart[]; mounts: string[] }>()
  for (const { mountPoint, kernel } of reports) {
    const parts = kernel?.parts ?? []
    const key = JSON.stringify(parts)
    if (parts.length > 0) tables.set(key, { parts, mounts: [...(tables.get(key)?.mounts ?? []), mountPoint] })
  }
  return [...tables.values()].map(({ parts, mounts }) => partsTable(parts, mounts))
}

function partsTable(parts: readonly KernelPart[], mounts: readonly string[]): Markup {
  const longest = new Set(longestParts(parts))
  return html`<table class="parts"><caption>What the kernel and the service manager did from the jump until <bdi>${mounts.join(', ')}</bdi> was mounted, in order; the longest parts are marked with ▲</caption>
<thead><tr><th scope="col">Part</th><th scope="col">Time</th><th scope="col">What would shorten it</th></tr></thead>
<tbody>
${parts.map(
  (part) =>
    html`<tr><th scope="row">${longest.has(part) ? '▲ ' : ''}${part.part}</th><td>${formatDuration(part.durationUs)}</td><td>${part.advice ?? 'nothing is known'}</td></tr>
`,
)}</tbody></table>
`
}
