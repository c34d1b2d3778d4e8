/**
 * Owns `npm test`: runs the tiers one after the other and says how many tests of which tier passed, failed and were
 * skipped, and why. The last line is the sum. Must not: know what a test tests.
 *
 *   npm test                     all tiers but `long`
 *   npm test -- unit mount       these tiers
 *   npm test -- allocator        files whose path holds the word, `long` ones as well
 */
import { globSync, mkdtempSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type FileResult, runFile } from './tiers/run-file.ts'
import { countFile, countSkippedFiles, emptyTally, fileLines, type Tally, tallyLines } from './tiers/tally.ts'
import { TIERS, type Tier } from './tiers/tiers.ts'

const project = dirname(import.meta.dirname)
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const tierNames = words.filter((word) => TIERS.some(({ name }) => name === word))
const filters = words.filter((word) => !tierNames.includes(word))

/** Short, because the sockets of pools and guests lie below it and their paths end at 107 bytes. */
const runFolder = mkdtempSync('/tmp/gm-')

const filesOf = ({ globs }: Tier): string[] =>
  globSync([...globs], { cwd: project })
    .filter((path) => filters.length === 0 || filters.some((word) => path.includes(word)))
    .sort()

/** `parallel` workers take files from one list until it is empty. */
async function runFiles(
  { name, parallel, timeoutMs }: Tier,
  files: string[],
  done: (result: FileResult) => void,
): Promise<void> {
  const queue = [...files.entries()]
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const folder = join(runFolder, `${name[0]}${next[0]}`)
      done(await runFile(next[1], { project, folder }, timeoutMs))
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
}

async function runTier(tier: Tier): Promise<Tally> {
  const tally = emptyTally()
  const files = filesOf(tier)
  const obstacle = files.length === 0 ? undefined : await tier.obstacle(say)
  if (obstacle !== undefined) countSkippedFiles(tally, files.length, obstacle)
  else {
    await runFiles(tier, files, (result) => {
      countFile(tally, result)
      for (const line of fileLines(result)) say(line)
    })
  }
  return tally
}

const tallies: [string, Tally][] = []
for (const tier of TIERS) {
  const isAsked = words.length > 0 || !tier.onlyByName
  if (tierNames.length > 0 ? !tierNames.includes(tier.name) : !isAsked) continue
  tallies.push([tier.name, await runTier(tier)])
}
try {
  rmdirSync(runFolder)
} catch {
  say(`kept ${runFolder}: it holds what a failed test left behind`)
}

say('')
for (const [name, tally] of tallies) for (const line of tallyLines(name, tally)) say(line)
const sum = (pick: (tally: Tally) => number): number =>
  tallies.reduce((total, [, tally]) => total + pick(tally), 0)
const passed = sum((tally) => tally.passed)
const failed = sum((tally) => tally.failed)
if (passed + failed === 0) say('no test ran')
say(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
