/**
 * `node try-range-lock.ts START LENGTH [PROGRAM WORDS…]`: tries to lock the range and prints `locked`, or the
 * errno's name; then runs the program while it holds the lock.
 */
import { spawnSync } from 'node:child_process'
import { writeSync } from 'node:fs'
import { Errno } from '../../values/errno.ts'
import { lockRange } from '../range-lock.ts'

const [start, lengthBytes, program, ...words] = process.argv.slice(2) as [string, string, string?]
const lock = lockRange({ start: Number(start), lengthBytes: Number(lengthBytes) })
writeSync(1, `${lock instanceof Errno ? lock.name : 'locked'}\n`)
if (program !== undefined) spawnSync(program, words, { stdio: 'inherit' })
