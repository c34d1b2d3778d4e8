/** Takes a mend back in a copy of the sources. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Revert } from './row.ts'

/** Throws where the sources have what the mend put there not exactly once: the table is to be mended then. */
export function revertIn(folder: string, { path, now, before }: Revert): void {
  const parts = readFileSync(join(folder, path), 'utf8').split(now)
  if (parts.length !== 2) throw new Error(`${path} has '${now}' ${parts.length - 1} times`)
  writeFileSync(join(folder, path), parts.join(before))
}
