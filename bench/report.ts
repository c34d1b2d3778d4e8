/** The files of results (JSON, one per bench) and their table. Must not: compute figures. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Measured } from './harness.ts'
import { machineFacts } from './machine-facts.ts'

/** One line of a bench's table: a figure, its value here, and the wanted value. */
export interface Row {
  readonly figure: string
  readonly value: string
  /** `>= 0.99`, `flat`, …; empty when the figure stands for itself. */
  readonly wanted: string
  /** Whether the value is as wanted; `null` when nothing is wanted. Reported, never asserted. */
  readonly met: boolean | null
}

export interface Result {
  readonly name: string
  readonly title: string
  readonly rows: readonly Row[]
  readonly measured: readonly Measured[]
  /** Settings that a reader needs: counts, sizes, options of the peers. */
  readonly settings: Record<string, string | number | boolean>
}

const resultsFolder = join(import.meta.dirname, 'results')

export function keepResult(result: Result): string {
  mkdirSync(resultsFolder, { recursive: true })
  const path = join(resultsFolder, `${result.name}.json`)
  const document = { ...result, measuredAt: new Date().toISOString(), machine: machineFacts() }
  writeFileSync(path, `${JSON.stringify(document, undefined, 2)}\n`)
  return path
}

export function keepPlot(name: string, svg: string): string {
  const path = join(resultsFolder, `${name}.svg`)
  writeFileSync(path, svg)
  return path
}

const mark = (met: boolean | null): string => (met === null ? '' : met ? 'met' : 'NOT MET')

export function tableLines({ title, rows }: Result): string[] {
  const width = Math.max(...rows.map(({ figure }) => figure.length))
  const values = Math.max(...rows.map(({ value }) => value.length))
  return [
    title,
    ...rows.map(({ figure, value, wanted, met }) =>
      `  ${figure.padEnd(width)}  ${value.padStart(values)}  ${wanted.padEnd(10)} ${mark(met)}`.trimEnd(),
    ),
  ]
}

export const fact = (figure: string, value: string): Row => ({ figure, value, wanted: '', met: null })

export const atLeastRow = (figure: string, ratio: number, minimum: number): Row => ({
  figure,
  value: ratio.toFixed(3),
  wanted: `>= ${minimum}`,
  met: ratio >= minimum,
})

export const atMostRow = (figure: string, ratio: number, maximum: number): Row => ({
  figure,
  value: ratio.toFixed(3),
  wanted: `<= ${maximum}`,
  met: ratio <= maximum,
})
