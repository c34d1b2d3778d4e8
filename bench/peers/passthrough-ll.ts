/**
 * The C example of libfuse `passthrough_ll` as a peer: taken from Debian's libfuse3-dev, compiled with the
 * machine's C compiler, kept in a cache outside the repository, mounted over a tmpfs of its own. Must not:
 * install anything.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SERVER_NICE } from '../../src/keeper/server-nice.ts'
import { mountTable } from '../../src/linux/mounts.ts'
import { setNice, setSessionNice } from '../../src/linux/process.ts'

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'guestmemfs', 'peers')
const PACKAGE = 'libfuse3-dev'

function run(program: string, args: readonly string[], cwd?: string): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', cwd })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`)
}

/** Path of the compiled example. Errors: thrown with the tool's message (no apt, no compiler, no network). */
export function buildPassthroughLl(say: (line: string) => void): string {
  const binary = join(cache, 'passthrough_ll')
  if (existsSync(binary)) return binary
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'building-'))
  try {
    say(`fetching ${PACKAGE} for its passthrough_ll.c`)
    run('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', PACKAGE], folder)
    const deb = readdirSync(folder).find((name) => name.endsWith('.deb'))
    run('dpkg-deb', ['-x', join(folder, deb ?? ''), folder])
    const source = join(folder, 'usr/share/doc/libfuse3-dev/examples/passthrough_ll.c')
    const libraries = join(folder, 'usr/lib/x86_64-linux-gnu/libfuse3.a')
    const output = join(folder, 'passthrough_ll')
    const include = `-I${join(folder, 'usr/include/fuse3')}`
    run('cc', [
      '-O2',
      '-D_FILE_OFFSET_BITS=64',
      include,
      source,
      libraries,
      '-lpthread',
      '-ldl',
      '-o',
      output,
    ])
    renameSync(output, binary)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return binary
}

/**
 * Mounts the example over a fresh tmpfs for the time of `use`. `options` are the example's own (`timeout=0`,
 * …).
 */
export async function withPassthroughLl<T>(
  binary: string,
  options: string,
  use: (mountPoint: string) => Promise<T>,
): Promise<T> {
  const base = mkdtempSync(join(tmpdir(), 'guestmemfs-peer-'))
  const [backing, mountPoint] = [join(base, 'tmpfs'), join(base, 'fuse')]
  for (const folder of [backing, mountPoint]) mkdirSync(folder)
  run('mount', ['-t', 'tmpfs', 'tmpfs', backing])
  const server = spawn(binary, ['-f', '-o', `source=${backing},${options}`, mountPoint], {
    stdio: 'ignore',
    detached: true,
  })
  const ended = new Promise((resolve) => server.once('exit', resolve))
  // As the keeper does for guestmemfs's server: a session of its own, and a higher priority than its callers.
  if (server.pid !== undefined) {
    setNice(server.pid, SERVER_NICE)
    setSessionNice(server.pid, SERVER_NICE)
  }
  try {
    for (let wait = 0; !mountTable().some(({ target }) => target === mountPoint); wait += 1) {
      if (wait === 100 || server.exitCode !== null) throw new Error('passthrough_ll did not mount')
      await sleep(50)
    }
    return await use(mountPoint)
  } finally {
    spawnSync('umount', [mountPoint])
    server.kill()
    await ended
    run('umount', [backing])
    for (const folder of [backing, mountPoint, base]) rmdirSync(folder)
  }
}
