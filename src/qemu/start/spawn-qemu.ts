/** The start of a VM's QEMU as its user, in its directory, with its descriptors. */
import type { ChildProcess } from 'node:child_process'
import { asUser, type Credentials, spawnAs } from '../../linux/credentials.ts'
import { UsageError } from '../../values/errors.ts'
import { isRootOnlyPath } from '../root-only-path.ts'
import type { VmDefinition } from '../vm-definition.ts'
import type { Launch } from './start-arguments.ts'

/**
 * The child runs with the user's credentials from its first instruction on, and no root process gets its
 * environment. `stdio`: descriptors of this process; the fourth is MONITOR_FD in the child. Errors
 * (UsageError): the directory is gone, or that user may not enter it. This process is back in its own
 * directory afterwards, or in `/`.
 */
export function spawnQemu(
  { name, cwd }: Pick<VmDefinition, 'name' | 'cwd'>,
  { argv, credentials, environment }: Launch,
  stdio: readonly (number | 'ignore' | 'pipe')[],
  more: { readonly detached?: boolean } = {},
): ChildProcess {
  const [program = '', ...words] = argv
  const home = ownDirectory()
  enterDirectory(name, cwd, credentials)
  try {
    return spawnAs(credentials, program, words, { ...more, env: environment, stdio: [...stdio] })
  } finally {
    returnTo(home)
  }
}

/**
 * Changes to QEMU's working directory. Where root had started QEMU, its user may not be able to enter it:
 * then root does, if no other user can replace a directory of its path. Errors (UsageError): it is gone, or
 * that user may not enter it.
 */
export function enterDirectory(name: string, cwd: string, credentials: Credentials): void {
  try {
    enterAs(credentials, cwd)
  } catch (cause) {
    throw new UsageError(`VM ${name} does not start: its directory ${cwd} cannot be entered`, { cause })
  }
}

function enterAs(credentials: Credentials, cwd: string): void {
  try {
    asUser(credentials, () => process.chdir(cwd))
  } catch (cause) {
    if (!isRootOnlyPath(cwd)) throw cause
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

function returnTo(home: string): void {
  try {
    process.chdir(home)
  } catch {
    process.chdir('/')
  }
}
