/** Reads a process's memory and descriptors from /proc, and checks that they do not grow. */
import { readdirSync, readFileSync } from 'node:fs'
import { slope } from '../../bench/harness.ts'

export interface Sample {
  readonly atSeconds: number
  /** Anonymous memory that is in RAM: pages of the pool that it has touched are the pool's. */
  readonly residentKib: number
  readonly descriptors: number
}

/** undefined: it has ended. */
export function sampleOf(pid: number, atSeconds: number): Sample | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const residentKib = Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1])
    return { atSeconds, residentKib, descriptors: readdirSync(`/proc/${pid}/fd`).length }
  } catch {
    return undefined
  }
}

/** Samples that are left out: a process grows while its code is compiled. */
const WARM_UP_SHARE = 0.4
const LEAST_SAMPLES = 10
/** The garbage collector's variation is no growth. */
const ALLOWED_KIB = 3 * 1024
const ALLOWED_SHARE = 0.05
/** A server makes memory objects ahead, more while files are created in a row. */
const ALLOWED_DESCRIPTORS = 24

export interface Growth {
  readonly residentKib: number
  readonly descriptors: number
  /** One line, where it is more than is allowed; undefined: too few samples, or flat. */
  readonly wrong: string | undefined
}

/**
 * The growth of the best-fit line from the end of the warm-up to the last sample. Allowed: 3 MiB or a
 * twentieth of what is resident, whichever is more, and 24 descriptors.
 */
export function growthOf(samples: readonly Sample[]): Growth {
  const counted = samples.slice(Math.floor(samples.length * WARM_UP_SHARE))
  const [first, last] = [counted[0], counted.at(-1)]
  if (first === undefined || last === undefined || counted.length < LEAST_SAMPLES)
    return { residentKib: 0, descriptors: 0, wrong: undefined }
  const seconds = last.atSeconds - first.atSeconds
  const growth = (of: (sample: Sample) => number): number =>
    slope(counted.map((sample) => [sample.atSeconds, of(sample)] as const)) * seconds
  const residentKib = Math.round(growth((sample) => sample.residentKib))
  const descriptors = Math.round(growth((sample) => sample.descriptors))
  const allowedKib = Math.max(ALLOWED_KIB, first.residentKib * ALLOWED_SHARE)
  const wrong =
    residentKib > allowedKib
      ? `grew by ${residentKib} KiB in ${Math.round(seconds)} s, from ${first.residentKib}`
      : descriptors > ALLOWED_DESCRIPTORS
        ? `has ${descriptors} descriptors more after ${Math.round(seconds)} s, from ${first.descriptors}`
        : undefined
  return { residentKib, descriptors, wrong }
}
