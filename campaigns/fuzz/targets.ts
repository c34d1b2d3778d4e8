/** The table of fuzz targets. */
import type { Target } from './target.ts'
import { entries } from './targets/entries.ts'
import { fuse } from './targets/fuse.ts'
import { image } from './targets/image.ts'
import { manifest } from './targets/manifest.ts'
import { qmp } from './targets/qmp.ts'
import { records } from './targets/records.ts'
import { xattrs } from './targets/xattrs.ts'

export const TARGETS: Readonly<Record<string, Target>> = {
  fuse,
  qmp,
  image,
  entries,
  manifest,
  records,
  xattrs,
}

export function findTarget(name: string): Target {
  const target = TARGETS[name]
  if (target === undefined) throw new RangeError(`no target ${name}`)
  return target
}
