/**
 * `hash-ram.ts FILE`: prints the SHA-256 of all of a RAM file, mapped as QEMU does it, in a process of its
 * own, so that no mapping stays.
 */
import { createHash } from 'node:crypto'
import { fstatSync, openSync } from 'node:fs'
import { mapShared } from '../../src/linux/memory.ts'
import type { Fd } from '../../src/values/ids.ts'

const [, , file] = process.argv
if (file === undefined) throw new Error('usage: hash-ram FILE')
const fd = openSync(file, 'r+') as Fd
process.stdout.write(
  createHash('sha256')
    .update(mapShared(fd, fstatSync(fd).size))
    .digest('hex'),
)
