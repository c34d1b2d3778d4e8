/**
 * The bench of a live update of the host's kernel by a real kexec, in a throw-away host: the parts of a
 * guest's blackout, the share of guestmemfs, and what grows with the guest's RAM.
 */
import { type Measured, median, medianOf, slope } from './harness.ts'
import {
  type CarveOutFigures,
  type CarveOutUpdate,
  carveOutUpdates,
  type Zeroing,
} from './live-update/kexec-scenario.ts'
import { blackoutMs, GUEST_PHASES, ms, perGib, phaseMs, phaseSamples, seconds } from './live-update/phases.ts'
import { barChart } from './plot.ts'
import { atLeastRow, atMostRow, fact, keepPlot, type Result, type Row } from './report.ts'
import { hostSettings, measureIn } from './throw-away-host.ts'

const SIZES_MIB = [256, 1024, 2048]
const MIB_PER_GIB = 1024
const HUGE_PAGE_BYTES = 2 ** 21
/** Phases of the kernel's boot, which depend neither on guestmemfs nor on a guest. */
const KERNEL = ['jump', 'boot']
/** Phases of QEMU. */
const QEMU = ['save', 'load']
const QEMU_START = 'start'
/** The share of guestmemfs in the blackout: all but kexec, the kernel's boot, and QEMU's save and load. */
const ownShare = (update: CarveOutUpdate): number =>
  1 - phaseMs(update, [...KERNEL, ...QEMU]) / blackoutMs(update)

const ownShareBesideQemu = (update: CarveOutUpdate): number =>
  ownShare(update) - phaseMs(update, [QEMU_START]) / blackoutMs(update)

function bySize(updates: readonly CarveOutUpdate[]): Measured[] {
  return SIZES_MIB.map((sizeMib) => {
    const theirs = updates.filter((update) => update.sizeMib === sizeMib)
    return {
      name: `${sizeMib} MiB`,
      samples: {
        ...phaseSamples(theirs),
        ordinarySaveMs: theirs.map(({ ordinary }) => ordinary.saveMs),
      },
    }
  })
}

/** Of the carve-out's memory. */
const zeroingSide = ({ rounds }: Zeroing): Measured => ({
  name: 'zeroing 1 GiB',
  samples: {
    zeroingMs: rounds.map(({ zeroingMs }) => zeroingMs),
    memsetMs: rounds.map(({ memsetMs }) => memsetMs),
  },
})

function rows(figures: CarveOutFigures, measured: readonly Measured[]): Row[] {
  const { updates, mountMs, zeroing } = figures
  const own = median(updates.map(ownShare))
  const follows = Object.entries(zeroing.follows).map(
    ([sizeMib, time]) => [Number(sizeMib) / MIB_PER_GIB, time] as const,
  )
  const pages = updates.map(({ kernelPageBytes }) => kernelPageBytes)
  const zeroingMs = zeroing.rounds.map((round) => round.zeroingMs)
  const memsetMs = zeroing.rounds.map((round) => round.memsetMs)
  return [
    ...measured.flatMap((side) => [
      fact(`${side.name}, blackout`, seconds(medianOf(side, 'blackoutMs'))),
      fact(`${side.name}, saved by us`, ms(medianOf(side, 'saveMs'))),
      fact(`${side.name}, QEMU's ordinary save`, ms(medianOf(side, 'ordinarySaveMs'))),
    ]),
    atMostRow(
      'saving and loading, ms per GiB',
      perGib(updates, (update) => phaseMs(update, QEMU)),
      5,
    ),
    fact("making the RAM's device, ms per GiB", ms(slope(follows))),
    fact(
      'all phases that know the guest, ms per GiB',
      ms(perGib(updates, (update) => phaseMs(update, GUEST_PHASES))),
    ),
    fact("QEMU's ordinary save, ms per GiB", ms(perGib(updates, ({ ordinary }) => ordinary.saveMs))),
    atMostRow('our own share of the blackout', own, 0.1),
    atMostRow("… without QEMU's own start", median(updates.map(ownShareBesideQemu)), 0.1),
    fact(
      'mount after a kexec, one guest',
      seconds(median(updates.map((update) => phaseMs(update, ['mount'])))),
    ),
    ...Object.entries(mountMs).map(([what, time]) => fact(`mount after a kexec, ${what}`, seconds(time))),
    fact('zeroing 1 GiB: ours, memset', `${ms(median(zeroingMs))}, ${ms(median(memsetMs))}`),
    atLeastRow('zeroing, rate against memset', median(memsetMs) / median(zeroingMs), 0.8),
    {
      figure: "KernelPageSize of the guest's RAM",
      value: `${Math.min(...pages) / 1024} KiB`,
      wanted: '2048 KiB',
      met: pages.every((page) => page >= HUGE_PAGE_BYTES),
    },
  ]
}

/**
 * `rounds`: live updates for each size of RAM. Errors: the failure of the throw-away host, and the folder of
 * its consoles.
 */
export async function benchKexec(rounds: number): Promise<Result> {
  // In alternating order, so that changes over time affect all sizes alike.
  const order = Array.from({ length: rounds }, (_, round) =>
    round % 2 === 0 ? SIZES_MIB : SIZES_MIB.toReversed(),
  ).flat()
  const { figures, summary } = await measureIn('bench', carveOutUpdates(order))
  const measured = bySize(figures.updates)
  const series = measured.map((side) => ({
    label: side.name,
    values: [KERNEL, [...QEMU, QEMU_START]].map((phases) =>
      phases.reduce((sum, phase) => sum + medianOf(side, `${phase}Ms`) / 1000, 0),
    ),
  }))
  const groups = series.map(({ label, values }, index) => {
    const all = medianOf(measured[index] as Measured, 'blackoutMs') / 1000
    return { label, values: [...values, all - values.reduce((sum, value) => sum + value, 0)] }
  })
  keepPlot(
    'kexec',
    barChart('A new kernel under a guest, seconds', ['kernel and kexec', 'QEMU', 'guestmemfs'], groups),
  )
  return {
    name: 'kexec',
    title:
      "A new kernel under a running guest, by a real kexec in a throw-away host: what the guest's blackout is made of",
    settings: { rounds, sizesMib: SIZES_MIB.join(' '), ...hostSettings(summary) },
    measured: [...measured, zeroingSide(figures.zeroing)],
    rows: rows(figures, measured),
  }
}
