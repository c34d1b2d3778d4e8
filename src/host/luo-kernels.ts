/**
 * On which kernels a handover of memfds was run, and what is known of others. Pure. Must not: read the
 * running kernel's configuration.
 */
import { atLeast, formatVersion, type Version } from './version.ts'

/** The first one on which a live update of a pool of memfds was run. */
const SHOWN: Version = { major: 7, minor: 3 }
/**
 * Linux 6.19 takes the flags of pages when they are preserved: what a guest writes to a hole after that may
 * come back as zeroes (mm/memfd_luo.c there).
 */
const SOUND: Version = { major: 7, minor: 0 }

export interface LuoDoubt {
  /** Guests may lose memory. */
  readonly loses: boolean
  readonly why: string
}

/** undefined: it was run, and worked. */
export function luoDoubt(release: Version): LuoDoubt | undefined {
  if (atLeast(release, SHOWN)) return undefined
  const name = `Linux ${formatVersion(release)}`
  if (atLeast(release, SOUND))
    return {
      loses: false,
      why: `handing memory over was shown on Linux ${formatVersion(SHOWN)}, and never run on ${name}: try it with guests that you can spare`,
    }
  return {
    loses: true,
    why: `${name} may hand over zeroes where a guest writes while its memory is preserved: boot ${formatVersion(SHOWN)} or newer, or use store=dax`,
  }
}
