/** `store-bytes.ts FILE AT BYTE…`: stores bytes in a RAM file through a mapping, in a process of its own. */
import { fstatSync, openSync } from 'node:fs'
import { mapShared } from '../../src/linux/memory.ts'
import type { Fd } from '../../src/values/ids.ts'

const [, , file, at, ...bytes] = process.argv
if (file === undefined || at === undefined) throw new Error('usage: store-bytes FILE AT BYTE…')
const fd = openSync(file, 'r+') as Fd
mapShared(fd, fstatSync(fd).size).set(bytes.map(Number), Number(at))
