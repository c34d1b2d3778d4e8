/**
 * `npm run bench`: runs the benches that were named (all without a name) and prints their results.
 *
 *   npm run bench                      all of them
 *   npm run bench -- metadata scale    these
 *   npm run bench -- --rounds 3        fewer rounds
 *   npm run bench -- metadata --before TREE    beside the program of the sources in TREE
 */
import { parseArgs } from 'node:util'
import { askConsent } from '../src/host/consent.ts'
import { setShmemHugePages, shmemHugePages } from '../src/linux/memory-info.ts'
import { Errno } from '../src/values/errno.ts'
import { errorText } from '../src/values/errors.ts'
import { benchBlackout } from './blackout.ts'
import { benchByHand } from './by-hand.ts'
import { benchGuests } from './guests.ts'
import { benchKexec } from './kexec.ts'
import { benchKho } from './kho.ts'
import { benchMetadata } from './metadata.ts'
import { benchOverhead } from './overhead.ts'
import { benchPages } from './pages.ts'
import { benchRam } from './ram.ts'
import { keepResult, type Result, tableLines } from './report.ts'
import { benchRestart } from './restart.ts'
import { benchScale } from './scale.ts'
import { benchSpace } from './space.ts'
import { benchSuccessorFirst } from './successor-first.ts'

type Bench = (rounds: number, progress: (line: string) => void, before?: string) => Promise<Result>

const BENCHES: Record<string, { readonly rounds: number; readonly bench: Bench }> = {
  ram: { rounds: 21, bench: benchRam },
  metadata: { rounds: 21, bench: benchMetadata },
  scale: { rounds: 9, bench: benchScale },
  space: { rounds: 9, bench: benchSpace },
  restart: { rounds: 5, bench: benchRestart },
  blackout: { rounds: 3, bench: benchBlackout },
  'successor-first': { rounds: 5, bench: benchSuccessorFirst },
  guests: { rounds: 1, bench: benchGuests },
  pages: { rounds: 1, bench: benchPages },
  overhead: { rounds: 1, bench: benchOverhead },
  kexec: { rounds: 2, bench: benchKexec },
  kho: { rounds: 2, bench: benchKho },
  'by-hand': { rounds: 5, bench: benchByHand },
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    before: { type: 'string' },
    yes: { type: 'boolean', short: 'y', default: false },
  },
})
const print = (line: string): void => void process.stdout.write(`${line}\n`)

/** On a terminal one line that it overwrites; elsewhere nothing. */
const progress = (name: string) => (line: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${name}: ${line}`)
}

/** Enables huge pages for the run, if the operator agrees. Returns a function that restores the setting. */
async function withHugePages(): Promise<() => void> {
  const before = shmemHugePages()
  if (before !== 'never') return () => {}
  const question = 'Huge pages for shared memory are off. Turn them on (advise) for this run?'
  if (!(await askConsent(question, { yes: values.yes }))) return () => {}
  const refused = setShmemHugePages('advise')
  if (refused instanceof Errno) print(`huge pages stay off: ${refused.name}`)
  return () => void setShmemHugePages(before)
}

const names = positionals.length > 0 ? positionals : Object.keys(BENCHES)
const unknown = names.filter((name) => !(name in BENCHES))
if (unknown.length > 0) {
  print(`no bench named ${unknown.join(', ')}: there are ${Object.keys(BENCHES).join(', ')}`)
  process.exit(2)
}

const restore = await withHugePages()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.once('exit', restore)

for (const name of names) {
  const { rounds, bench } = BENCHES[name]!
  try {
    const wanted = values.rounds === undefined ? rounds : Number(values.rounds)
    const result = await bench(wanted, progress(name), values.before)
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
    keepResult(result)
    for (const line of tableLines(result)) print(line)
  } catch (error) {
    print(`${name} could not be measured: ${errorText(error)}`)
    process.exitCode = 1
  }
  print('')
}
