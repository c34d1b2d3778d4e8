/**
 * What a keeper does when npm, or another package manager, replaces the files that it was started from: it
 * starts nothing but `mount` from them any more, and the new version's `mount` takes the pool over. A version
 * that `guestmemfs install` installed has a folder of its own, which is never changed.
 *
 * Why no byte can be lost. The keeper holds all that it held until the next keeper's server has opened the
 * image, and only that keeper kills it: this is the takeover of a parked pool (takeover/copy-fds.ts), but of
 * one that has a connection. A `mount` that fails leaves this keeper as it was, and the keeper tries again.
 * Meanwhile requests wait as they do after the end of any server, and guests run on.
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
 * Mounts the pool with the present files. Where that succeeds, the new keeper kills this process; else it
 * resolves with a line for the log, to which `mount` has written its error.
 */
export async function mountWithNewFiles(pool: string, mountPoint: string, logFd: Fd): Promise<string> {
  const how = await mount(pool, mountPoint, logFd)
  return `the program that replaced its files did not take the pool over (${how}): 'guestmemfs mount' of a version that is not older does; this process holds the memory`
}

async function mount(pool: string, mountPoint: string, logFd: Fd): Promise<string> {
  // Without the unit's variables, as on a command line: where there is a unit, `mount` starts that.
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
