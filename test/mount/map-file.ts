/**
 * A process that maps a file, as QEMU maps guest RAM. `map-file.ts PATH BYTES [create]` opens and maps the
 * file, or makes it first as QEMU does, prints `mapped`, then answers each line of its standard input with
 * one line. It unmaps at the end of its input, by its own end. `mapper.ts` starts it.
 */
import { closeSync, ftruncateSync, openSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { adviseHuge, mapShared } from '../../src/linux/memory.ts'
import type { Fd } from '../../src/values/ids.ts'

const [, , path, bytes, create] = process.argv
const fd = openSync(path as string, create === undefined ? 'r+' : 'wx+') as Fd
if (create !== undefined) ftruncateSync(fd, Number(bytes))
const mapping = mapShared(fd, Number(bytes))

const commands: Record<string, (...numbers: number[]) => unknown> = {
  load: (offset = 0) => mapping[offset],
  store: (offset = 0, value = 0) => {
    mapping[offset] = value
    return 'done'
  },
  fill: (from = 0, to = 0, value = 0) => {
    mapping.fill(value, from, to)
    return 'done'
  },
  /** Closes the descriptor; the mapping stays. */
  close: () => {
    closeSync(fd)
    return 'done'
  },
  adviseHuge: () => String(adviseHuge(mapping) ?? 'done'),
  /** Bytes of shared memory that the kernel maps by huge pages in this process. */
  pmdBytes: () => {
    const sizes = readFileSync('/proc/self/smaps', 'latin1').matchAll(/^ShmemPmdMapped:\s+(\d+) kB$/gm)
    return [...sizes].reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0)
  },
}

process.stdout.write('mapped\n')
for await (const line of createInterface({ input: process.stdin })) {
  const [name = '', ...words] = line.split(' ')
  process.stdout.write(`${commands[name]?.(...words.map(Number))}\n`)
}
