/** The last update in a few figures: kernels, QEMUs, guests by outcome, blackouts, memory. */
import { formatDuration } from '../../../values/duration.ts'
import { formatSize } from '../../../values/size.ts'
import type { HostUpdate } from '../host-updates.ts'
import type { VmTimeline } from '../timeline.ts'
import { html, type Markup } from './html.ts'
import { countWords, dateWords, KINDS } from './page-words.ts'

export function totalsSection(update: HostUpdate): Markup {
  const { kind, startedAtMs, durationUs, reports, guests } = update
  const rows: readonly (readonly [string, Markup | string])[] = [
    ['Began', dateWords(startedAtMs)],
    ['Kind', KINDS[kind]],
    ['Took', formatDuration(durationUs)],
    ['Mounts', html`<bdi>${reports.map(({ mountPoint }) => mountPoint).join(', ')}</bdi>`],
    ['Kernel', kernelChangeWords(update)],
    ['QEMU', qemuWords(guests)],
    ['Guests', outcomeWords(update)],
    ['Blackout', blackoutWords(guests)],
    ['RAM', sizeWords(guests.map(({ ramBytes }) => ramBytes))],
    ['Device state', sizeWords(guests.map(({ stateBytes }) => stateBytes))],
  ]
  return html`<section><h2>Totals</h2><dl class="totals">${rows.map(([title, words]) =>
    words === '' ? undefined : html`<div><dt>${title}</dt><dd>${words}</dd></div>`,
  )}</dl></section>`
}

/** Empty: the kernel was not to be replaced. */
export function kernelChangeWords({ reports }: HostUpdate): string {
  const kernel = reports.find((report) => report.kernel !== undefined)?.kernel
  if (kernel === undefined) return ''
  const { before, after, wanted, via } = kernel
  if (after === null) return `${before}, which ${wanted} did not replace`
  return `${before} → ${after} by ${via}${after === wanted ? '' : ` (${wanted} was to be started)`}`
}

/** Empty: no guest. */
export function qemuWords(guests: readonly VmTimeline[]): string {
  const changes = guests.map(({ qemuBefore, qemuAfter }) =>
    qemuAfter === null ? `${qemuBefore}, of which none runs now` : changeWords(qemuBefore, qemuAfter),
  )
  return countedWords(changes)
}

const changeWords = (before: string, after: string): string =>
  before === after ? before : `${before} → ${after}`

/** `2 updated, 1 saved`, guests that were left included. */
export const outcomeWords = ({ guests, left }: Pick<HostUpdate, 'guests' | 'left'>): string =>
  countedWords([...guests.map(({ outcome }) => outcome), ...left.map(() => 'left')]) || 'none'

/** Each different word with how often it is there. */
function countedWords(words: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return [...counts].map(([word, count]) => `${count} × ${word}`).join('; ')
}

function blackoutWords(guests: readonly VmTimeline[]): string {
  const known = guests.flatMap(({ blackoutUs }) => blackoutUs ?? []).sort((a, b) => a - b)
  const [least] = known
  if (least === undefined) return 'none is known'
  const [most = least, median = least] = [known.at(-1), known[Math.floor((known.length - 1) / 2)]]
  if (known.length === 1) return formatDuration(least)
  return `longest ${formatDuration(most)}, median ${formatDuration(median)}, shortest ${formatDuration(least)}, of ${countWords(known.length, 'guest')}`
}

const sizeWords = (sizes: readonly number[]): string =>
  sizes.length === 0 ? '' : formatSize(sizes.reduce((sum, size) => sum + size, 0))
