/** The start of a VM's QEMU as its user, in its directory, with the descriptors that it is to have. */
import type { ChildProcess } from 'node:child_process'
import { asUser, type Credentials, spawnAs } from '../linux/credentials.ts'
import { UsageError } from '../values/errors.ts'
import { isRootsAlone } from './roots-way.ts'
import type { Launch } from './start-arguments.ts'
import type { VmDefinition } from './vm-definition.ts'

/**
 * The child is QEMU's user's from its first instruction on, and its environment no program's of root's.
 * `stdio`: descriptors of ours; the fourth is MONITOR_FD in the child. Errors (UsageError): its directory is
 * gone, or closed to that user. This process is back in its own directory afterwards, or in `/`.
 */
export function spawnQemu(
  { name, cwd }: Pick<VmDefinition, 'name' | 'cwd'>,
  { argv, credentials, environment }: Launch,
  stdio: readonly (number | 'ignore')[],
  more: { readonly detached?: boolean } = {},
): ChildProcess {
  const [program = '', ...words] = argv
  const home = ownDirectory()
  try {
    enterAs(credentials, cwd)
  } catch (cause) {
    throw new UsageError(`VM ${name} does not start: its directory ${cwd} cannot be entered`, { cause })
  }
  try {
    return spawnAs(credentials, program, words, { ...more, env: environment, stdio: [...stdio] })
  } finally {
    leave(home)
  }
}

/**
 * Goes to the directory that QEMU is to find itself in. Its user may have no way to it from above, where root
 * had started it: then root goes, and only where no directory on the way is another user's to replace.
 */
function enterAs(credentials: Credentials, cwd: string): void {
  try {
    asUser(credentials, () => process.chdir(cwd))
  } catch (cause) {
    if (!isRootsAlone(cwd)) throw cause
    process.chdir(cwd)
  }
}

function ownDirectory(): string {
  try {
    return process.cwd()
  } catch {
    return '/'
  }
}

function leave(home: string): void {
  try {
    process.chdir(home)
  } catch {
    process.chdir('/')
  }
}
