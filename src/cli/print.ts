/** Results on standard output, as lines of text or as JSON; errors on standard error. */
import { writeSync } from 'node:fs'
import type { Outputs } from './json/outputs.ts'

/**
 * Some text comes from guests' owners (file names, answers of a QEMU): none of it may control the reader's
 * terminal. As JSON spells control characters; line ends and tabs stay.
 */
export const escapeControls = (text: string): string =>
  text.replace(
    /[\p{Cc}--[\n\t]]/gv,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

export function print(line: string): void {
  process.stdout.write(`${escapeControls(line)}\n`)
}

/**
 * Prints one line of an error. It is lost where no process reads standard error. Not process.stderr: that
 * would make the stream non-blocking for QEMU, which may have it as well.
 */
export function complain(line: string): void {
  try {
    writeSync(2, `guestmemfs: ${escapeControls(line)}\n`)
  } catch {
    // There is nothing left to report it to.
  }
}

/** `Command` has to be given: whose output it is. All commands print theirs in one way (json/outputs.ts). */
export const printJson = <Command extends keyof Outputs = never>(value: Outputs[Command]): void =>
  print(JSON.stringify(value))

/** Columns as wide as their widest cell. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  )
  for (const row of [header, ...rows]) {
    print(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  }
}
