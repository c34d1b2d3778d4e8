/**
 * What a QEMU binary reports about itself over QMP: its version and its machine types. It is started without
 * a machine (`-machine none`), which takes some tens of milliseconds and starts no guest.
 */
import type { ChildProcessByStdio } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import * as v from 'valibot'
import { type Credentials, spawnAs } from '../linux/credentials.ts'
import { UsageError } from '../values/errors.ts'
import { MIB } from '../values/units.ts'
import { compareVersions, OLDEST_USABLE, type QemuVersion, VersionSchema, versionOf } from './qemu-version.ts'

export interface QemuBinary {
  /** Absolute. */
  readonly path: string
  readonly version: QemuVersion
  readonly machines: readonly MachineType[]
}

const MachineSchema = v.object({
  name: v.string(),
  alias: v.optional(v.string()),
  'is-default': v.optional(v.boolean()),
  'default-ram-id': v.optional(v.string()),
})
export type MachineType = v.InferOutput<typeof MachineSchema>

const PROBE_TIMEOUT_MS = 20_000
const MAX_ANSWER_BYTES = 4 * MIB
const QMP_COMMANDS = ['qmp_capabilities', 'query-version', 'query-machines', 'quit']

/** The file that a shell would run, absolute. undefined: there is none. */
export function findProgram(name: string, cwd: string, searchPath: string): string | undefined {
  const candidates = name.includes('/')
    ? [resolve(cwd, name)]
    : searchPath.split(':').map((directory) => join(resolve(cwd, directory), name))
  return candidates.find(isExecutable)
}

/** As `findProgram`. Errors: UsageError. */
export function findBinary(name: string, cwd: string, searchPath: string): string {
  const found = findProgram(name, cwd, searchPath)
  if (found !== undefined) return found
  throw new UsageError(
    `${name} is not there: install QEMU ${OLDEST_USABLE} or newer (Debian: qemu-system-x86), or give its path`,
  )
}

/** The user that the binary is started as, with that user's environment: a VM's record has both. */
export interface ProbeUser extends Credentials {
  readonly environment: Readonly<Record<string, string>>
}

/**
 * Starts it as the user it is going to run as. Errors (UsageError): it is no QEMU, it does not answer, it is
 * too old.
 */
export async function probeBinary(path: string, user: ProbeUser): Promise<QemuBinary> {
  const answers = await query(path, user)
  const version = answers.find((answer) => v.is(v.object({ return: VersionSchema }), answer))
  const machines = answers.find((answer) => v.is(v.object({ return: v.array(MachineSchema) }), answer))
  if (version === undefined || machines === undefined) {
    throw new UsageError(`${path} does not answer as a QEMU system emulator does`)
  }
  const parsed = versionOf(v.parse(v.object({ return: VersionSchema }), version).return)
  if (compareVersions(parsed, OLDEST_USABLE) < 0) {
    throw new UsageError(
      `${path} is QEMU ${parsed}: cpr-reboot needs ${OLDEST_USABLE} or newer (Debian 12: from bookworm-backports)`,
    )
  }
  return {
    path,
    version: parsed,
    machines: v.parse(v.object({ return: v.array(MachineSchema) }), machines).return,
  }
}

/** Every JSON line that the binary writes. A program that is no QEMU writes none. */
async function query(path: string, user: ProbeUser): Promise<unknown[]> {
  const words = ['-machine', 'none', '-nodefaults', '-display', 'none', '-qmp', 'stdio']
  const child = spawnAs(user, path, words, {
    env: user.environment,
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: PROBE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  }) as ChildProcessByStdio<Writable, Readable, null>
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (cause) =>
      reject(new UsageError(`${path} does not start: ${cause.message}`, { cause })),
    )
  })
  child.stdin.on('error', () => {}) // QEMU ended before it read: its output decides
  child.stdin.end(QMP_COMMANDS.map((execute) => JSON.stringify({ execute })).join('\n'))
  return await Promise.race([failed, collectLines(path, child.stdout)])
}

async function collectLines(path: string, output: AsyncIterable<Buffer>): Promise<unknown[]> {
  let text = ''
  for await (const chunk of output) {
    text += chunk
    if (text.length > MAX_ANSWER_BYTES) throw new UsageError(`${path} writes more than a QEMU would`)
  }
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as unknown]
    } catch {
      return []
    }
  })
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
