/** A mount namespace for a test whose /run/guestmemfs is small: a test fills it, or makes it read-only. */
import { spawn } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Outcome, runProgram, TREE, until } from './support.ts'

export interface SmallRun {
  /** Runs a program inside. */
  readonly inside: (...words: string[]) => Promise<Outcome>
  /** Runs `guestmemfs WORDS…` inside. */
  readonly cli: (...words: string[]) => Promise<Outcome>
  /** The same, where /run/guestmemfs is read-only for that command alone, as for one in a sandbox. */
  readonly cliReadOnly: (...words: string[]) => Promise<Outcome>
  /** Until `makeRoom`, no byte can be added to a file. */
  readonly fill: () => Promise<unknown>
  readonly makeRoom: () => Promise<unknown>
}

/** `tree`: the program. */
export async function smallRun(t: TestContext, tree = TREE): Promise<SmallRun> {
  const holder = spawn('unshare', ['--mount', 'sleep', '600'], { stdio: 'ignore' })
  t.after(() => holder.kill('SIGKILL'))
  const own = readlinkSync('/proc/self/ns/mnt')
  await until('the namespace is made', () => readlinkSync(`/proc/${holder.pid}/ns/mnt`) !== own)
  const inside = (...words: string[]) =>
    runProgram('nsenter', ['--target', String(holder.pid), '--mount', ...words])
  const made = 'mkdir -p /run/guestmemfs && mount -t tmpfs -o size=64k tmpfs /run/guestmemfs'
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
    fill: () => inside('sh', '-c', 'cat /dev/zero >/run/guestmemfs/full'),
    makeRoom: () => inside('rm', '/run/guestmemfs/full'),
  }
}
