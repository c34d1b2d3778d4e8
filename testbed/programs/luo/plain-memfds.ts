/**
 * Memfds without a pool, to measure the kernel's own part: their sizes, contents and mappings. preserve.ts
 * makes them before a kexec, retrieve.ts finds them after it.
 */
import { readFileSync } from 'node:fs'
import { addressOf } from '../../../src/linux/library.ts'
import { adviseHuge, mapShared } from '../../../src/linux/memory.ts'
import { parseSmaps } from '../../../src/linux/page-sizes.ts'
import type { Fd } from '../../../src/values/ids.ts'

export const SESSION = 'guestmemfs-bench'
const PAGE_BYTES = 4096

export interface PlainMemfd {
  readonly sizeMib: number
  /** Its pages: 2 MiB each, or 4 KiB. */
  readonly isHuge: boolean
}

/** Measurements of one of them in the next kernel. */
export interface Retrieved extends PlainMemfd {
  /** The time of the ioctl(2) alone. */
  readonly callMs: number
  /** Bytes mapped by whole 2 MiB entries, once all of it is mapped and touched. */
  readonly pmdMappedBytes: number
}

/**
 * Measurements in the first kernel. It is preserved twice: `callMs` is of the first time, when the kernel
 * moves pages out of the memory that the next kernel boots in.
 */
export interface Preserved extends Retrieved {
  readonly againMs: number
  /** Pages of 4 KiB that the kernel moved during the first call, for other processes, too. */
  readonly movedPages: number
}

/** `256:huge,1024:small`. */
export const parseMemfds = (words: string): PlainMemfd[] =>
  words.split(',').map((word) => {
    const [sizeMib = '0', pages] = word.split(':')
    return { sizeMib: Number(sizeMib), isHuge: pages === 'huge' }
  })

/** The byte written into page `page` for `token`: never zero. */
const mark = (page: number, token: number): number => 1 + ((page * 31 + token) % 255)

/**
 * Maps all of it, runs `visit` over each page, and returns the bytes mapped by 2 MiB entries. Never unmaps
 * it: the process ends afterwards.
 */
function touchPages(fd: Fd, { sizeMib, isHuge }: PlainMemfd, visit: Visit): number {
  const lengthBytes = sizeMib * 2 ** 20
  const view = mapShared(fd, lengthBytes)
  if (isHuge) adviseHuge(view)
  for (let at = 0; at < lengthBytes; at += PAGE_BYTES) visit(view, at)
  return pmdMappedBytes(view)
}

function pmdMappedBytes(view: Uint8Array): number {
  const start = addressOf(view).toString(16).padStart(8, '0')
  const smaps = readFileSync('/proc/self/smaps', 'latin1')
  const at = smaps.search(new RegExp(`^${start}-`, 'm'))
  const [mapping] = at < 0 ? [] : parseSmaps(smaps.slice(at))
  if (mapping === undefined) throw new Error(`no mapping at ${start}`)
  return mapping.pmdMappedBytes
}

type Visit = (view: Uint8Array<ArrayBuffer>, at: number) => void

export const fillPages = (fd: Fd, memfd: PlainMemfd, token: number): number =>
  touchPages(fd, memfd, (view, at) => {
    view[at] = mark(at / PAGE_BYTES, token)
  })

/** Throws at the first page that holds something else. */
export const checkPages = (fd: Fd, memfd: PlainMemfd, token: number): number =>
  touchPages(fd, memfd, (view, at) => {
    if (view[at] !== mark(at / PAGE_BYTES, token))
      throw new Error(`memfd ${token}, byte ${at}: ${view[at]} instead of ${mark(at / PAGE_BYTES, token)}`)
  })
