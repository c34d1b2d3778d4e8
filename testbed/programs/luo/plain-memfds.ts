/**
 * Owns the memfds by which the kernel's own part is measured, without a pool: what they are, what stands in
 * them, how they are mapped. Their makers (preserve.ts) and finders (retrieve.ts) run on the two sides of a
 * kexec.
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

/** What the next kernel found of one of them. */
export interface Retrieved extends PlainMemfd {
  /** Of the one call, ioctl(2) alone. */
  readonly callMs: number
  /** When all of it is mapped and touched: by whole 2 MiB entries. */
  readonly pmdMappedBytes: number
}

/**
 * What the first kernel found. Preserved twice: `callMs` is of the first time, which moves pages out of the
 * memory that the next kernel boots in.
 */
export interface Preserved extends Retrieved {
  readonly againMs: number
  /** By the first call, of 4 KiB each; by whatever else ran meanwhile, too. */
  readonly movedPages: number
}

/** `256:huge,1024:small`. */
export const parseMemfds = (words: string): PlainMemfd[] =>
  words.split(',').map((word) => {
    const [sizeMib = '0', pages] = word.split(':')
    return { sizeMib: Number(sizeMib), isHuge: pages === 'huge' }
  })

/** What is written into page `page` of number `token`: never zero. */
const mark = (page: number, token: number): number => 1 + ((page * 31 + token) % 255)

/**
 * Maps all of it, runs `visit` over each page, and answers how it is mapped then. Mapped for life: this is a
 * process's last work.
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
