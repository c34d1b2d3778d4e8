/**
 * Calls of virsh(1), by which guestmemfs sends commands to libvirt: one process for each, to the daemon of
 * the system. Must not: run a shell, or take the environment's word for where virsh is.
 */
import { spawn } from 'node:child_process'
import { errnoOfNodeError } from '../linux/library.ts'
import { formatTimeout } from '../values/duration.ts'
import { ENOENT } from '../values/errno.ts'
import { QemuError } from '../values/errors.ts'
import { LATE, within } from '../values/within.ts'

/** libvirt has not answered in time. Its daemon goes on, and may do what it was asked for all the same. */
export class VirshLateError extends QemuError {}

/**
 * What `virsh WORDS` prints. Errors (QemuError): libvirt's words in one line; VirshLateError: it does not
 * answer within `timeoutMs`.
 */
export type Virsh = (words: readonly string[], timeoutMs?: number) => Promise<string>

/** libvirt itself waits up to 30 s for another command that changes the domain. */
const TIMEOUT_MS = 40_000

const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C.UTF-8',
}

export const virsh: Virsh = async (words, timeoutMs = TIMEOUT_MS) => {
  // In a session of its own: Ctrl-C is for the command that calls it, which ends between two steps.
  const child = spawn('virsh', ['-q', '-c', 'qemu:///system', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: ENVIRONMENT,
  })
  let [out, said] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  const [what = ''] = words
  const status = await within(ended, timeoutMs).catch((error: unknown) => {
    const errno = errnoOfNodeError(error)
    throw new QemuError(errno === ENOENT ? 'virsh is not installed' : `virsh does not start (${errno})`)
  })
  if (status === LATE) {
    child.kill('SIGKILL')
    throw new VirshLateError(`virsh ${what}: no answer within ${formatTimeout(timeoutMs)}`)
  }
  if (status === 0) return out
  throw new QemuError(`virsh ${what}: ${oneLine(said) || `it ended with status ${status}`}`)
}

/**
 * UUIDs of the domains that run; `more`: options of `virsh list`. Errors: as of `Virsh`. `timeoutMs`: as
 * there.
 */
export async function activeUuids(run: Virsh, more: readonly string[] = [], timeoutMs?: number) {
  const lines = (await run(['list', '--uuid', ...more], timeoutMs)).split('\n')
  return lines.map((line) => line.trim()).filter((line) => line !== '')
}

/** Print the live XML, with passwords. */
export const liveXmlWords = (uuid: string): string[] => ['dumpxml', '--security-info', uuid]

/** libvirt's errors may have several lines, each with `error:`. */
const oneLine = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.replace(/^error: /, '').trim())
    .filter((line) => line !== '')
    .join(': ')
