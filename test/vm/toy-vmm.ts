/**
 * A VMM that is no QEMU: `toy-vmm.ts RAM FOLDER [start]`. Its guest counts: it prints `tick N bad M`, where M
 * are the words of its RAM that are not as they were. SIGUSR2 stops it and saves its state, and FOLDER/saved
 * is there then; SIGHUP has it go on; SIGINT ends it in order. `start`: from a state, which it empties.
 */
import { fstatSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mapShared } from '../../src/linux/memory.ts'
import type { Fd } from '../../src/values/ids.ts'

const TICK_MS = 20
const WORDS = 1 << 16
const FACTOR = 0x9e3779b1

const [, , path = '', folder = '', how] = process.argv
const state = process.env.GUESTMEMFS_STATE ?? ''
const saved = join(folder, 'saved')
const fd = openSync(path, 'r+') as Fd
const bytes = mapShared(fd, fstatSync(fd).size)
/** The first word is the last tick, as RAM has it; the others follow from their place. */
const ram = new Uint32Array(bytes.buffer, bytes.byteOffset, WORDS)
const wordAt = (at: number): number => Math.imul(at, FACTOR) >>> 0

let tick = 0
if (how === 'start') {
  tick = Number(JSON.parse(readFileSync(state, 'utf8')).tick)
  truncateSync(state, 0)
} else for (let at = 1; at < WORDS; at++) ram[at] = wordAt(at)

function count(): void {
  let bad = ram[0] === tick ? 0 : 1
  for (let at = 1; at < WORDS; at++) if (ram[at] !== wordAt(at)) bad++
  tick++
  ram[0] = tick
  process.stdout.write(`tick ${tick} bad ${bad}\n`)
}

const run = (): NodeJS.Timeout => setInterval(count, TICK_MS)
if (how !== 'start') ram[0] = 0
let timer = run()
process.on('SIGUSR2', () => {
  clearInterval(timer)
  writeFileSync(state, JSON.stringify({ tick }))
  writeFileSync(saved, '')
})
process.on('SIGHUP', () => {
  clearInterval(timer)
  rmSync(saved, { force: true })
  timer = run()
})
process.on('SIGINT', () => process.exit(0))
setInterval(() => {}, 1 << 30) // it stays while its guest is stopped
