/**
 * Results on standard output, as lines for a person or as JSON for a script; what is wrong on standard error.
 */
import { writeSync } from 'node:fs'

/**
 * Names and words come from guests' owners too (file names, what a QEMU answers): none of them may drive the
 * terminal of whoever reads. As JSON spells control characters; line ends and tabs stay.
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
 * One line of what is wrong. It is lost where nobody reads standard error. Not process.stderr: that would
 * make the stream non-blocking for QEMU, which may have it as well.
 */
export function complain(line: string): void {
  try {
    writeSync(2, `guestmemfs: ${escapeControls(line)}\n`)
  } catch {
    // Nothing is left to say it with.
  }
}

export const printJson = (value: unknown): void => print(JSON.stringify(value))

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
