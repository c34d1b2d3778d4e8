/**
 * What a keeper does when the files that it was started from are replaced while it runs, as an upgrade of an
 * npm package does it: it starts nothing from them any more, and gives its pool over to the version that they
 * are of now. An installed version lies in a folder of its own, which nobody writes to, and meets none of
 * this.
 *
 * Why no byte can be lost. The keeper holds all that it held until the next keeper's server has opened the
 * image, and is killed by that keeper alone: it is the takeover of a parked pool (takeover/copy-fds.ts), of
 * one that has a connection besides. A `mount` that fails leaves this keeper as it was, and it is tried
 * again. Meanwhile requests wait as they do for any server that has died, and guests do not.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { OwnFiles } from '../linux/own-files.ts'
import { errorText, UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'

const CLI = fileURLToPath(new URL(`../cli${import.meta.url.slice(-3)}`, import.meta.url))

export class ReplacedError extends UsageError {}

const files = new OwnFiles()

/** Errors: ReplacedError. */
export function checkOwnFiles(own: Pick<OwnFiles, 'isReplaced'> = files): void {
  if (own.isReplaced)
    throw new ReplacedError('the files of this keeper were replaced: it starts nothing from them')
}

/**
 * Mounts the pool with what the files are now. Where that succeeds, this process is killed by the new keeper;
 * else it resolves with a line for the log, which has the words of `mount` as well.
 */
export async function giveOver(pool: string, mountPoint: string, logFd: Fd): Promise<string> {
  const how = await mount(pool, mountPoint, logFd)
  return `what its files are now did not take the pool over (${how}): 'guestmemfs mount' of a version that is not older does; this process holds the memory`
}

async function mount(pool: string, mountPoint: string, logFd: Fd): Promise<string> {
  // As a person types it: where there is a unit, it is the unit that mounts.
  const { GUESTMEMFS_UNIT, NOTIFY_SOCKET, ...env } = process.env
  try {
    const child = spawn(process.execPath, [...process.execArgv, CLI, 'mount', pool, mountPoint], {
      detached: true,
      stdio: ['ignore', logFd, logFd],
      env,
    })
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    return signal ?? `exit status ${code}`
  } catch (error) {
    return errorText(error)
  }
}
