/**
 * The inputs of a target that reached new code, and those with a fault: a file each in the cache, named by
 * its content, so that each is kept once. They stay when the program changes.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, contentKey } from '../../testbed/cache.ts'

export const corpusFolder = (target: string): string => cacheFolder(`fuzz/${target}`)
export const findingsFolder = (target: string): string => cacheFolder(`fuzz-findings/${target}`)

export const readInputs = (folder: string): Uint8Array[] =>
  readdirSync(folder)
    .sort()
    .map((name) => readFileSync(join(folder, name)))

/** Returns the path. */
export function keepInput(folder: string, input: Uint8Array): string {
  const path = join(folder, contentKey(input))
  writeFileSync(path, input)
  return path
}
