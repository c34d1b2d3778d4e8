/** A mount namespace for a test whose /run/guestmemfs is small: a test fills it, or makes it read-only. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { SPARE } from '../../src/run/atomic-file.ts'
import { type Outcome, runProgram, TREE, until } from './support.ts'

/** Of a `mount` that succeeded while /run is full. */
export function assertMountedFull({ stderr, status }: Outcome): void {
  assert.match(stderr, /^guestmemfs: \/run\/guestmemfs is full: \S+ is mounted all the same.*\n$/)
  assert.equal(status, 0)
}

export interface SmallRun {
  /** Runs a program inside. */
  readonly inside: (...words: string[]) => Promise<Outcome>
  /** Runs `guestmemfs WORDS…` inside. */
  readonly cli: (...words: string[]) => Promise<Outcome>
  /** The same, where /run/guestmemfs is read-only for that command alone, as for one in a sandbox. */
  readonly cliReadOnly: (...words: string[]) => Promise<Outcome>
  /** Until `makeRoom`, no byte can be added to a file in /run/guestmemfs, nor to one of those in /dev. */
  readonly fill: () => Promise<unknown>
  /** The same, and small files find room in /dev. */
  readonly fillRun: () => Promise<unknown>
  readonly makeRoom: () => Promise<unknown>
}

/** `tree`: the program. `how`: further options of the tmpfs. */
export async function smallRun(t: TestContext, tree = TREE, how = ''): Promise<SmallRun> {
  const holder = spawn('unshare', ['--mount', 'sleep', '600'], { stdio: 'ignore' })
  t.after(() => holder.kill('SIGKILL'))
  const own = readlinkSync('/proc/self/ns/mnt')
  await until('the namespace is made', () => readlinkSync(`/proc/${holder.pid}/ns/mnt`) !== own)
  const inside = (...words: string[]) =>
    runProgram('nsenter', ['--target', String(holder.pid), '--mount', ...words])
  const made = `mkdir -p /run/guestmemfs ${SPARE} && mount -t tmpfs -o size=64k${how} tmpfs /run/guestmemfs &&
    mount -t tmpfs -o size=64k tmpfs ${SPARE}`
  const { status, stderr } = await inside('sh', '-c', made)
  if (status !== 0) throw new Error(stderr)
  const command = [process.execPath, join(tree, 'src/cli.ts')]
  const readOnly =
    'mount --bind /run/guestmemfs /run/guestmemfs; mount -o remount,bind,ro /run/guestmemfs; exec "$@"'
  return {
    inside,
    cli: (...words) => inside(...command, ...words),
    cliReadOnly: (...words) =>
      inside('unshare', '--mount', 'sh', '-ec', readOnly, 'sh', ...command, ...words),
    fill: () => inside('sh', '-c', `cat /dev/zero >/run/guestmemfs/full; cat /dev/zero >${SPARE}/full`),
    fillRun: () => inside('sh', '-c', 'cat /dev/zero >/run/guestmemfs/full'),
    makeRoom: () => inside('rm', '-f', '/run/guestmemfs/full', `${SPARE}/full`),
  }
}
