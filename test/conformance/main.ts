/**
 * `npm run conformance -- PATH`: it builds a public suite, of which PATH is a checkout, in a scratch folder,
 * runs it on tmpfs and on a mount of guestmemfs, and lists what passes on tmpfs alone. Must not: change the
 * checkout, or leave a mount behind.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UsageError } from '../../src/values/errors.ts'
import { LTP } from './ltp.ts'
import { PJDFSTEST } from './pjdfstest.ts'
import type { Place, Suite } from './suite.ts'

const SUITES: readonly Suite[] = [PJDFSTEST, LTP]
const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
const POOL = `conformance-${process.pid}`
/**
 * Only written pages take memory. A suite writes a byte at 2 GiB, and a pool counts holes as used
 * (docs/reference/posix.md).
 */
const SIZE = '4G'
const MINUTES = 30
const TRIES = 5

const say = (line: string): void => void process.stdout.write(`${line}\n`)

function suiteAt(path: string | undefined): { suite: Suite; path: string } {
  if (path === undefined)
    throw new UsageError('say where a checkout of pjdfstest or of LTP is: npm run conformance -- PATH')
  const suite = SUITES.find((each) => each.isAt(path))
  if (suite === undefined)
    throw new UsageError(
      `${path} is no checkout of pjdfstest (pjdfstest.c) nor of LTP (testcases/kernel/fs): clone one of them`,
    )
  if (process.getuid?.() !== 0)
    throw new UsageError('mounts are made, and other users played: run it as root')
  if (!existsSync('/dev/fuse')) throw new UsageError('there is no /dev/fuse: load the kernel module fuse')
  return { suite, path: resolve(path) }
}

function revisionOf(path: string): string {
  try {
    const words = ['-C', path, 'log', '-1', '--format=%h of %cs']
    return execFileSync('git', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'a revision that git does not know'
  }
}

/** Processes of a suite may not have ended yet, so this waits. Reports what cannot be removed even then. */
function takeAway(program: string, words: readonly string[]): void {
  for (let left = TRIES; ; left--)
    try {
      execFileSync(program, words, { stdio: ['ignore', 'ignore', 'pipe'] })
      return
    } catch (error) {
      if (left === 0) {
        say(`left behind: ${String((error as { stderr?: unknown }).stderr).trim()}`)
        process.exitCode = 1
        return
      }
      execFileSync('sleep', ['1'])
    }
}

/** Mounts tmpfs and a pool; `end` unmounts both. */
function mountPlaces(scratch: string): { places: [Place, Place]; end: () => void } {
  const [tmpfs, ours] = ['tmpfs', 'guestmemfs'].map((name) => join(scratch, name)) as [string, string]
  for (const path of [tmpfs, ours]) mkdirSync(path)
  const mounted: (readonly string[])[] = []
  const end = (): void => {
    for (const [program, ...words] of mounted.splice(0).reverse()) takeAway(program as string, words)
  }
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=755`, 'tmpfs', tmpfs])
    mounted.push(['umount', tmpfs])
    execFileSync(process.execPath, [CLI, 'mount', POOL, ours, '-o', `size=${SIZE}`], { stdio: 'pipe' })
    mounted.push([process.execPath, CLI, 'umount', '--discard', POOL])
  } catch (error) {
    end()
    throw error
  }
  return {
    places: [
      { name: 'tmpfs', path: tmpfs },
      { name: 'guestmemfs', path: ours },
    ],
    end,
  }
}

async function conform(words: readonly string[]): Promise<boolean> {
  const { suite, path } = suiteAt(words[0])
  const scratch = mkdtempSync(join(tmpdir(), 'guestmemfs-conformance-'))
  // Other users of the suite enter it.
  chmodSync(scratch, 0o755)
  try {
    const folder = join(scratch, 'suite')
    mkdirSync(folder)
    await suite.build(path, folder)
    const { places, end } = mountPlaces(scratch)
    try {
      say(`${suite.name}, ${revisionOf(path)}`)
      const verdict = await suite.run(folder, places, { deadlineMs: Date.now() + MINUTES * 60_000, say })
      const { checks, passed, differences, isCutShort } = verdict
      say(`${checks} checks: ${passed.reference} pass on tmpfs, ${passed.subject} on guestmemfs`)
      say(`${differences.length} pass on tmpfs and not on guestmemfs`)
      if (isCutShort) say(`cut short after ${MINUTES} minutes: the rest did not run`)
      return differences.length === 0 && !isCutShort
    } finally {
      end()
    }
  } finally {
    // Must not delete below a file system that could not be unmounted.
    execFileSync('rm', ['-r', '--one-file-system', '--', scratch])
  }
}

try {
  if (!(await conform(process.argv.slice(2)))) process.exitCode = 1
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`conformance: ${error.message}\n`)
  process.exitCode = 1
}
