/** Fills a file's memory with bytes that are not zero, in a process of its own. Arguments: path, bytes. */
import { openSync } from 'node:fs'
import { adviseHuge, mapShared } from '../../../src/linux/memory.ts'
import type { Fd } from '../../../src/values/ids.ts'

const [, , path = '', bytes = '0'] = process.argv
const mapping = mapShared(openSync(path, 'r+') as Fd, Number(bytes))
adviseHuge(mapping)
mapping.fill(0xa5)
