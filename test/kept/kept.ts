/** What former trees wrote, as tests read it: `bytes/COMMIT/`, made by make.ts. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { unpackSparse } from './sparse.ts'

const BYTES = join(import.meta.dirname, 'bytes')

/** Each commit with a folder in `bytes/`. */
export const COMMITS: readonly string[] = readdirSync(BYTES)

export const keptBytes = (commit: string, name: string): Buffer => readFileSync(join(BYTES, commit, name))
export const keptText = (commit: string, name: string): string => keptBytes(commit, name).toString('utf8')
export const keptJson = <T>(commit: string, name: string): T => JSON.parse(keptText(commit, name)) as T

export const IMAGES = ['image', 'packed', 'carve-out'] as const
export type ImageName = (typeof IMAGES)[number]

/** A new copy for each caller. */
export const keptImage = (commit: string, name: ImageName): Uint8Array =>
  unpackSparse(keptBytes(commit, `${name}.sparse`))
/** What the former tree's `dump` printed of it. */
export const keptDump = (commit: string, name: ImageName): unknown =>
  JSON.parse(gunzipSync(keptBytes(commit, `${name}.dump.gz`)).toString('utf8'))
