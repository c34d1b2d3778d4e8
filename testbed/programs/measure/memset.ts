/**
 * A process that zeroes a file's memory twice and prints how long the second time took, as JSON. Arguments:
 * path, bytes.
 */
import { openSync } from 'node:fs'
import { mapRaw, zeroRaw } from '../../../src/linux/raw-memory.ts'
import { Errno } from '../../../src/values/errno.ts'
import type { Fd } from '../../../src/values/ids.ts'

const [, , path = '', bytes = '0'] = process.argv
const mapping = mapRaw(openSync(path, 'r+') as Fd, Number(bytes), { writable: true })
if (mapping instanceof Errno) throw new Error(`mmap ${path}: ${mapping}`)
// The first time faults the pages in.
zeroRaw(mapping, 0, Number(bytes))
const started = performance.now()
zeroRaw(mapping, 0, Number(bytes))
process.stdout.write(JSON.stringify({ memsetMs: performance.now() - started }))
