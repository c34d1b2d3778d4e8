/**
 * docs/reference/compatibility.md, made from the results of the matrix, and these results, beside those of
 * the benches. The last run of a row replaces its former result.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RowResult } from './row-scenario.ts'
import { ROWS, type Row } from './rows.ts'

const PROJECT = join(import.meta.dirname, '..', '..')
const RESULTS = join(PROJECT, 'bench', 'results', 'compatibility.json')
const PAGE = join(PROJECT, 'docs', 'reference', 'compatibility.md')

/** One run of one row. */
export interface Seen extends RowResult {
  readonly row: string
  /** ISO 8601, the day alone. */
  readonly on: string
  readonly accelerator: string
}

export function readSeen(): Seen[] {
  return existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as Seen[]) : []
}

export function keepSeen(seen: Seen): void {
  const others = readSeen().filter(({ row }) => row !== seen.row)
  const order = ROWS.map(({ name }) => name)
  const all = [...others, seen].sort((a, b) => order.indexOf(a.row) - order.indexOf(b.row))
  writeFileSync(RESULTS, `${JSON.stringify(all, null, 2)}\n`)
  writeFileSync(PAGE, pageOf(ROWS, all))
}

/** The page's text. Rows that were not run yet say so; messages of refusals are below the table. */
export function pageOf(rows: readonly Row[], seen: readonly Seen[]): string {
  const refusals: string[] = []
  const cells = rows.map((row) => {
    const result = seen.find((each) => each.row === row.name)
    if (result === undefined)
      return [
        row.store,
        pair([row.kernel, row.nextKernel]),
        pair([row.qemu, row.nextQemu]),
        'not run yet',
        '',
        '',
      ]
    const { kernels, qemus, on, accelerator, refusal } = result
    if (refusal !== undefined && !refusals.includes(refusal)) refusals.push(refusal)
    const outcome = refusal === undefined ? wentOn(result) : `refused (${refusals.indexOf(refusal) + 1})`
    const host = accelerator === 'kvm' ? 'KVM' : 'emulated'
    return [row.store, kernels.join(' → '), pair(qemus), outcome, host, on]
  })
  const said = refusals.map((refusal, index) => `${index + 1}. ${refusal}\n`).join('')
  return `# What goes across a live update

Made by \`npm run testbed -- matrix\`: each row is one live update by a real kexec in the testbed's host, with a guest that checks
every word of its memory and says so ten times a second. "goes on" means that its next line followed the last one and no word was
wrong. The time is that for which the guest was stopped; where the host was emulated in software, compare rows with one another, and with
nothing else. What cannot work is refused before a guest is stopped, in the words below the table.

\`7.3.4-luo\` and its like are the kernel that \`npm run testbed:kernel\` builds of Debian's source, with the Live Update
Orchestrator; all others are Debian's own.

${table(['store', 'kernels', 'QEMU', 'outcome', 'host', 'seen on'], cells)}
${said === '' ? '' : `\nRefused:\n\n${said}`}`
}

const pair = ([before, after]: readonly [string, string]): string =>
  before === after ? before : `${before} → ${after}`

const wentOn = ({ blackoutMs }: Seen): string =>
  blackoutMs === undefined ? 'goes on' : `goes on, ${(blackoutMs / 1000).toFixed(1)} s`

/** Formatted as by the project's formatter, so that a new page passes `npm run check`. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}
