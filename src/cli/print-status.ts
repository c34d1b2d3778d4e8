/** `status` for people: six lines about a pool. Pure. */
import type { Overview, RunningProcess } from '../liveupdate/overview.ts'
import type { UpdateReport } from '../liveupdate/report/update-report.ts'
import { formatDuration } from '../values/duration.ts'
import { formatInstant } from '../values/instant.ts'
import { formatSize } from '../values/size.ts'

/** More guests of one state are counted. */
const MOST_NAMES = 5
const FOR_ROOT = 'shown to root alone'

export function statusLines(overview: Overview): string[] {
  const { status, keeper, server, guests, findings } = overview
  const about = (subject: string): string[] =>
    findings.filter((finding) => finding.subject === subject).map(({ message }) => message)
  const todo = findings.flatMap(({ advice }) => advice ?? [])
  const rows = [
    ['pool', poolWords(overview)],
    ['health', about('health').join('; ') || 'good'],
    [
      'served by',
      `${keeper === null ? 'no keeper' : `keeper ${processWords(keeper)}`} and server ${processWords(server, restartWords(status.server.restarts))}`,
    ],
    ['guests', guests === null ? FOR_ROOT : guestWords(guests)],
    ['update', guests === null ? FOR_ROOT : updateWords(overview.update)],
    ['to do', todo.join('; ') || 'nothing'],
  ]
  return rows.map(([title = '', text = '']) => `${title.padEnd('served by'.length)}  ${text}`)
}

function poolWords({ status: { pool, mountPoint, identity, geometry } }: Overview): string {
  const { ownedBlocks, blockBytes, totalBytes } = geometry
  const use = `${formatSize(ownedBlocks * blockBytes)} of ${formatSize(totalBytes)} used`
  return `${pool} on ${mountPoint}, ${identity.store}, ${use}`
}

function processWords({ pid, version, startedAtMs }: RunningProcess, more: readonly string[] = []): string {
  const since = startedAtMs === null ? [] : [`since ${formatInstant(startedAtMs)}`]
  return `${pid} (${[version ?? 'version unknown', ...since, ...more].join(', ')})`
}

const restartWords = (restarts: number): string[] =>
  restarts === 0 ? [] : [restarts === 1 ? '1 restart' : `${restarts} restarts`]

function guestWords(guests: NonNullable<Overview['guests']>): string {
  const words = (['running', 'stopped', 'saved', 'dead'] as const).flatMap((state) => {
    const names = guests.filter((guest) => guest.state === state).map(({ name }) => name)
    if (names.length === 0) return []
    const left = names.length - MOST_NAMES
    const shown = [...names.slice(0, MOST_NAMES), ...(left > 0 ? [`${left} more`] : [])]
    return `${names.length} ${state} (${shown.join(', ')})`
  })
  return words.join(', ') || 'none'
}

function updateWords(report: UpdateReport | null): string {
  if (report === null) return 'none since this machine started'
  const { kernel, vms, startedAtMs, kind } = report
  const what =
    kernel !== undefined
      ? `kernel ${kernel.before} → ${kernel.after ?? `${kernel.wanted}, not replaced`}`
      : kind === 'resume'
        ? 'saved guests resumed'
        : 'QEMU alone'
  const blackouts = vms.flatMap(({ blackoutUs }) => blackoutUs ?? [])
  const failed = vms.filter(({ problem }) => problem !== null).length
  return [
    `${formatInstant(startedAtMs)}, ${what}`,
    vms.length === 1 ? '1 guest' : `${vms.length} guests`,
    ...(blackouts.length === 0 ? [] : [`longest blackout ${formatDuration(Math.max(...blackouts))}`]),
    ...(failed === 0 ? [] : [`${failed} with a problem: see 'guestmemfs report'`]),
  ].join(', ')
}
