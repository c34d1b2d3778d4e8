/**
 * The size rule: a file holds one concept and at most `LINES_MAX` lines; a table may be longer and is listed.
 */
import { isTest, type Source } from './sources.ts'

export const LINES_MAX = 300

/** Files that are one long table: splitting them would hide it. */
const TABLES: ReadonlySet<string> = new Set(['src/fuse/kernel-structs.ts', 'src/fuse/opcodes.ts'])

export function sizeProblems(sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, text }) => {
    const lines = text.split('\n').length - 1
    return lines > LINES_MAX && !TABLES.has(path) ? [`${path}: ${lines} lines, ${LINES_MAX} at most`] : []
  })
}

/** A file opens with a comment; a test need not: its place and the names of its tests say what it is. */
export function openingProblems(sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, text }) =>
    isTest(path) || /^(#!.*\n)?\/(\*\*?|\/)/.test(text)
      ? []
      : [`${path}: does not open with a comment that says what it owns`],
  )
}
