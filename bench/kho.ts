/**
 * The bench of memory that the Live Update Orchestrator hands to the next kernel, by a real kexec in a
 * throw-away host: times to preserve and retrieve by size, whether huge pages stay huge, and a guest's
 * blackout beside that of one in the carve-out.
 */

import type { PlainMemfd, Preserved, Retrieved } from '../testbed/programs/luo/plain-memfds.ts'
import type { Mapping } from '../testbed/scenario/mapping.ts'
import { type Measured, medianOf } from './harness.ts'
import {
  type HandoverFigures,
  type HandoverUpdate,
  handoverUpdates,
  type Store,
} from './live-update/kho-scenario.ts'
import { ms, phaseSamples, seconds } from './live-update/phases.ts'
import { fact, type Result, type Row } from './report.ts'
import { hostSettings, measureIn } from './throw-away-host.ts'

const SIZES_MIB = [256, 1024]
const STORES: readonly Store[] = ['memfd', 'dax']
const MIB_BYTES = 2 ** 20
const PAGES_PER_MIB = 256

const nameOf = (store: Store, sizeMib: number): string => `${store}, ${sizeMib} MiB`

const bySide = (updates: readonly HandoverUpdate[]): Measured[] =>
  STORES.flatMap((store) =>
    SIZES_MIB.map((sizeMib) => {
      const theirs = updates.filter((update) => update.store === store && update.sizeMib === sizeMib)
      return {
        name: nameOf(store, sizeMib),
        samples: {
          ...phaseSamples(theirs),
          rssKibBefore: theirs.map(({ before }) => before.rssKib),
          pmdMappedKibBefore: theirs.map(({ before }) => before.pmdMappedKib),
          rssKibAfter: theirs.map(({ after }) => after.rssKib),
          pmdMappedKibAfter: theirs.map(({ after }) => after.pmdMappedKib),
        },
      }
    }),
  )

const plainName = ({ sizeMib, isHuge }: PlainMemfd): string =>
  `plain memfd, ${sizeMib} MiB in pages of ${isHuge ? '2 MiB' : '4 KiB'}`

function plainSides({ plainKexecs }: HandoverFigures): Measured[] {
  const memfds = plainKexecs[0]?.preserved ?? []
  return memfds.map((memfd, index) => {
    const preserved = plainKexecs.map((each) => each.preserved[index] as Preserved)
    const retrieved = plainKexecs.map((each) => each.retrieved[index] as Retrieved)
    return {
      name: plainName(memfd),
      samples: {
        preserveMs: preserved.map(({ callMs }) => callMs),
        movedMib: preserved.map(({ movedPages }) => movedPages / PAGES_PER_MIB),
        preserveAgainMs: preserved.map(({ againMs }) => againMs),
        retrieveMs: retrieved.map(({ callMs }) => callMs),
        pmdMappedBytesBefore: preserved.map(({ pmdMappedBytes }) => pmdMappedBytes),
        pmdMappedBytesAfter: retrieved.map(({ pmdMappedBytes }) => pmdMappedBytes),
      },
    }
  })
}

const plainRows = (sides: readonly Measured[]): Row[] =>
  sides.flatMap((side) => {
    const [first, again, retrieve] = ['preserveMs', 'preserveAgainMs', 'retrieveMs'].map((figure) =>
      ms(medianOf(side, figure)),
    )
    const [before, after] = ['pmdMappedBytesBefore', 'pmdMappedBytesAfter'].map((figure) =>
      (medianOf(side, figure) / MIB_BYTES).toFixed(0),
    )
    const moved = medianOf(side, 'movedMib').toFixed(0)
    return [
      fact(`${side.name}, preserved: first, again`, `${first} (${moved} MiB moved), ${again}`),
      fact('… retrieved', `${retrieve}`),
      fact('… mapped by 2 MiB: before, after', `${before}, ${after} MiB`),
    ]
  })

const said = ({ pmdMappedKib, rssKib }: Mapping): string =>
  `${(pmdMappedKib / 1024).toFixed(1)} of ${(rssKib / 1024).toFixed(1)} MiB`

function guestRows(updates: readonly HandoverUpdate[], sides: readonly Measured[]): Row[] {
  const side = (store: Store, sizeMib: number) =>
    sides.find(({ name }) => name === nameOf(store, sizeMib)) as Measured
  const beside = (sizeMib: number, figure: string, format: (value: number) => string) =>
    STORES.map((store) => {
      const from = side(store, sizeMib)
      return figure in from.samples ? format(medianOf(from, figure)) : '-'
    }).join(', ')
  const sizes = SIZES_MIB.join(' and ')
  const bySize = (figure: string) => SIZES_MIB.map((sizeMib) => beside(sizeMib, figure, ms)).join(' and ')
  const phases = updates.find(({ store }) => store === 'memfd')?.report.phases ?? []
  return [
    ...SIZES_MIB.map((sizeMib) =>
      fact(`${sizeMib} MiB, blackout: memfd, dax`, beside(sizeMib, 'blackoutMs', seconds)),
    ),
    ...phases.map(({ phase }) => fact(`${sizes} MiB, ${phase}: memfd, dax`, bySize(`${phase}Ms`))),
    ...updates
      .filter(({ store }) => store === 'memfd')
      .map(({ sizeMib, before, after }) =>
        fact(`${sizeMib} MiB, QEMU's mapping by 2 MiB: before, after`, `${said(before)}, ${said(after)}`),
      ),
  ]
}

/**
 * `rounds`: of one kexec with plain memfds, and a live update for each store and size. Errors: the failure of
 * the throw-away host.
 */
export async function benchKho(rounds: number): Promise<Result> {
  // In alternating order, so that changes over time affect both alike.
  const order = Array.from({ length: rounds }, (_, round) => (round % 2 === 0 ? STORES : STORES.toReversed()))
  const { figures, summary } = await measureIn('bench-kho', handoverUpdates(order, SIZES_MIB))
  const plain = plainSides(figures)
  const sides = bySide(figures.updates)
  return {
    name: 'kho',
    title:
      'Memfds handed to the next kernel by LUO, and the blackout beside that of a carve-out in the same kernel',
    settings: { rounds, sizesMib: SIZES_MIB.join(' '), ...hostSettings(summary) },
    measured: [...plain, ...sides],
    rows: [...plainRows(plain), ...guestRows(figures.updates, sides)],
  }
}
