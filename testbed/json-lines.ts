/** Files with one JSON record a line, to which runs append: the ledger's and the campaigns'. */
import { existsSync, readFileSync } from 'node:fs'

/** Oldest first. A line that was cut off, by a full disk or a kill, is left out. */
export function readJsonLines<T>(path: string): T[] {
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as T]
      } catch {
        return []
      }
    })
}

export const jsonLines = (records: readonly unknown[]): string =>
  records.map((record) => `${JSON.stringify(record)}\n`).join('')
