/**
 * Checks the guestmemfs that the next boot runs, which need not be the one that runs now: it may be missing,
 * incomplete, or unable to read a pool that this kernel leaves to it. Pure.
 */
import type { BootMounts } from '../../host/boot-mounts.ts'
import type { NextBoot, NumberedPool } from '../../host/next-boot.ts'
import { PACKAGE_LIBRARY, type Reads } from '../../host/versions/version-folder.ts'
import type { PhysicalRange } from '../../linux/memory-ranges.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'
import type { PoolFacts } from './pool-facts.ts'

/** What a pool leaves to the next boot. */
type Left = Pick<PoolFacts, 'pool' | 'formats'>

const SUBJECT = 'next boot'
/** Of versions that do not list what they read. */
const FIRST: Reads = { image: { oldest: 1, newest: 1 }, handover: { oldest: 1, newest: 1 } }

/** `pools`: those that the next boot finds. */
export function checkNextBoot({ programs, lacksHelper }: NextBoot, pools: readonly Left[]): Finding[] {
  const findings = lacksHelper
    ? [
        fail(
          SUBJECT,
          "a line of /etc/fstab mounts a pool, and there is no /sbin/mount.guestmemfs to do it: run 'guestmemfs install'",
        ),
      ]
    : []
  for (const { by, place, lacks, reads = FIRST } of programs) {
    const what = `the guestmemfs that the next boot runs (${place}, by ${by})`
    const mend = place.startsWith(`${PACKAGE_LIBRARY}/`)
      ? 'install the package anew'
      : "run 'guestmemfs install'"
    if (lacks === undefined) findings.push(...pools.flatMap((pool) => unread(what, reads, pool)))
    else findings.push(fail(SUBJECT, `${what} is not whole: ${lacks}: ${mend}`))
  }
  return findings
}

function unread(what: string, reads: Reads, { pool, formats }: Left): Finding[] {
  return Object.entries(formats).flatMap(([name, format]) => {
    const range = reads[name] ?? FIRST[name]
    if (range !== undefined && range.oldest <= format && format <= range.newest) return []
    const known = range === undefined ? 'none' : `${range.oldest} to ${range.newest}`
    return [
      fail(
        SUBJECT,
        `pool '${pool}' leaves ${name} format ${format} to ${what}, which reads ${known}: run 'guestmemfs install' of the version that is to come`,
      ),
    ]
  })
}

/**
 * `pools`: those with guests that the next boot is to resume. They stay saved as long as nothing mounts their
 * pool, which a script may do that is not known here. `regions`: all of this machine.
 */
export function checkBootMounts(
  { pools: ofFstab, mountPoints }: BootMounts,
  regions: readonly PhysicalRange[],
  pools: readonly Pick<PoolFacts, 'pool' | 'mountPoint' | 'store' | 'by' | 'place'>[],
): Finding[] {
  return pools.flatMap(({ pool, mountPoint, store, by, place }) => {
    if (ofFstab.includes(pool) || mountPoints.includes(mountPoint)) return []
    const region = regions.length > 1 && place !== undefined ? `,region=0x${place.start.toString(16)}` : ''
    const options = by === 'carve-out' ? `store=${store}${region},nofail` : 'nofail'
    const line = `${pool} ${mountPoint.replaceAll(' ', '\\040')} guestmemfs ${options} 0 0`
    return warn(
      SUBJECT,
      `no line of /etc/fstab and no unit mounts pool '${pool}' at boot: its guests stay saved until it is mounted and 'guestmemfs resume' is typed; a line that does it: ${line}`,
    )
  })
}

/**
 * Where there are several regions, the next kernel may number them otherwise: a mount by number is then
 * refused, or finds an empty region.
 */
export function checkNumbered(
  numbered: readonly NumberedPool[],
  regions: readonly PhysicalRange[],
  pools: readonly Pick<PoolFacts, 'pool' | 'place'>[],
): Finding[] {
  if (regions.length < 2) return []
  return numbered.map(({ pool, region }) => {
    const start = pools.find((each) => each.pool === pool)?.place?.start
    const instead = start === undefined ? 'its first byte' : `region=0x${start.toString(16)}`
    return warn(
      SUBJECT,
      `/etc/fstab mounts pool '${pool}' from region=${region}, and the next kernel may give that number to another region: write ${instead}`,
    )
  })
}
