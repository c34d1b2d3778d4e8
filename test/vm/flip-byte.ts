/**
 * A deliberate fault: `flip-byte.ts FILE OFFSET` changes a byte of guest RAM through a mapping, in a process
 * of its own, so that no mapping stays.
 */
import { openSync } from 'node:fs'
import { mapShared } from '../../src/linux/memory.ts'
import type { Fd } from '../../src/values/ids.ts'

const [, , file, offset] = process.argv
if (file === undefined || offset === undefined) throw new Error('usage: flip-byte FILE OFFSET')
const at = Number(offset)
const memory = mapShared(openSync(file, 'r+') as Fd, at + 1)
memory[at] = (memory[at] as number) ^ 1
