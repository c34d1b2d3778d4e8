/**
 * Finds the physical memory behind a process's mapping: `physical.ts PID TEXT` prints, as JSON, the ranges
 * that are present of the largest mapping whose line in /proc/PID/maps holds TEXT, in file order, and how far
 * from its beginning each begins. The kernel reports no pages of mappings without struct pages
 * (walk_page_test(), mm/pagewalk.c): for those it prints no range. Source:
 * Documentation/admin-guide/mm/pagemap.rst.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

const PAGE_BYTES = 4096
const PRESENT = 1n << 63n
const FRAME = (1n << 55n) - 1n

interface Range {
  offset: number
  start: number
  lengthBytes: number
}

const [pid = '', text = ''] = process.argv.slice(2)
const mappings = readFileSync(`/proc/${pid}/maps`, 'latin1')
  .split('\n')
  .filter((line) => line.includes(text))
  .map(
    (line) =>
      (line.split(' ')[0] as string).split('-').map((part) => Number.parseInt(part, 16)) as [number, number],
  )
  .toSorted(([a, b], [c, d]) => d - c - (b - a))
const [largest] = mappings
if (largest === undefined) throw new Error(`process ${pid} maps nothing that is called ${text}`)
const [start, end] = largest
const pagemap = openSync(`/proc/${pid}/pagemap`, 'r')
const words = new BigUint64Array((end - start) / PAGE_BYTES)
const bytes = new Uint8Array(words.buffer)
for (let done = 0; done < bytes.length; ) {
  const got = readSync(pagemap, bytes, done, bytes.length - done, (start / PAGE_BYTES) * 8 + done)
  if (got === 0) throw new Error('the pagemap ends before the mapping')
  done += got
}
closeSync(pagemap)
const ranges: Range[] = []
for (const [index, word] of words.entries()) {
  if ((word & PRESENT) === 0n) continue
  const physical = Number(word & FRAME) * PAGE_BYTES
  const offset = index * PAGE_BYTES
  const last = ranges.at(-1)
  if (last && last.start + last.lengthBytes === physical && last.offset + last.lengthBytes === offset)
    last.lengthBytes += PAGE_BYTES
  else ranges.push({ offset, start: physical, lengthBytes: PAGE_BYTES })
}
process.stdout.write(`${JSON.stringify(ranges)}\n`)
