/**
 * The rows of the matrix: kernels and QEMUs before and after one live update, the store, and the expected
 * outcome. Kernel pairs by store, QEMU pairs on one kernel.
 */
import type { PartChoice } from '../scenario/parts.ts'

export type StoreName = 'dax' | 'devmem' | 'memfd'

export interface Row {
  readonly name: string
  readonly store: StoreName
  /** Specs of debian/kernel.ts. */
  readonly kernel: string
  readonly nextKernel: string
  /** `10.0`, `11.1`: before and after. */
  readonly qemu: string
  readonly nextQemu: string
  /** Absent: the guest is updated. Else the message of the preflight, with the guest never paused. */
  readonly refused?: RegExp
}

const OLD = '6.12'
const NEW = '7.3'
const LUO = 'luo'
const [QEMU_10, QEMU_11] = ['10.0', '11.1']

/** Older to newer, newer to older (as after a failed upgrade), and each to itself. */
const KERNEL_PAIRS = [
  [OLD, OLD],
  [OLD, NEW],
  [NEW, NEW],
  [NEW, OLD],
] as const

const row = (
  store: StoreName,
  kernels: readonly [string, string],
  qemus: readonly [string, string],
): Row => ({
  name: `${store} ${kernels.join('→')} QEMU ${qemus[0] === qemus[1] ? qemus[0] : qemus.join('→')}`,
  store,
  kernel: kernels[0],
  nextKernel: kernels[1],
  qemu: qemus[0],
  nextQemu: qemus[1],
})

const SAME_QEMU = [QEMU_10, QEMU_10] as const
const NO_MACHINE_TYPE = /has no machine type pc-q35-11\.1/

export const ROWS: readonly Row[] = [
  ...KERNEL_PAIRS.map((pair) => row('dax', pair, SAME_QEMU)),
  ...KERNEL_PAIRS.map((pair) => row('devmem', pair, SAME_QEMU)),
  row('memfd', [LUO, LUO], SAME_QEMU),
  { ...row('memfd', [LUO, NEW], SAME_QEMU), refused: /has no live update orchestrator for memfds/ },
  {
    ...row('memfd', [NEW, NEW], SAME_QEMU),
    refused: /pool 'guestmemfs' \(store=memfd\) ends with this kernel, and VM guest with it/,
  },
  row('dax', [NEW, NEW], [QEMU_11, QEMU_11]),
  row('dax', [NEW, NEW], [QEMU_10, QEMU_11]),
  row('devmem', [NEW, NEW], [QEMU_10, QEMU_11]),
  row('memfd', [LUO, LUO], [QEMU_10, QEMU_11]),
  { ...row('dax', [NEW, NEW], [QEMU_11, QEMU_10]), refused: NO_MACHINE_TYPE },
]

export const choiceOf = ({ kernel, nextKernel, qemu, nextQemu }: Row): PartChoice => ({
  kernel,
  nextKernel,
  qemus: qemu === nextQemu ? { qemu } : { qemu, nextQemu },
})

/** Rows whose name holds every one of `words`. */
export const rowsOf = (words: readonly string[]): Row[] =>
  ROWS.filter(({ name }) => words.every((word) => name.includes(word)))
