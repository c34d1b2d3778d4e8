/**
 * Owns the words that start a VM's QEMU: as its user, waiting where a guest is saved, with the way to its
 * RAM.
 *
 * QEMU opens its RAM's file by itself, and the kernel lets only CAP_SYS_RAWIO open /dev/mem. A guest of
 * another user than root therefore has its QEMU started as root, and told to become that user
 * (`-run-with user=`): it does so when its machine is built and before a virtual CPU runs, and keeps no
 * capability. Until then it is as trusted as we are, so it must be a program that only root could have put
 * there. docs/stores.md says what that protects, and what it does not.
 */
import { realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { UsageError } from '../values/errors.ts'
import { parseCommandLine, printCommandLine } from './command-line.ts'
import { commandAs, findPerson, type Identity } from './identity.ts'
import { compareVersions, type QemuVersion } from './qemu-version.ts'
import { findRamMappings, hasWindow, reachRam } from './ram-mapping.ts'
import { incomingArgv } from './vm-command-line.ts'
import type { VmDefinition } from './vm-definition.ts'

/** The first with `-run-with user=` (qemu-options.hx). */
const RUN_WITH_USER: QemuVersion = '9.0.0'
const ROOT: Identity = { uid: 0, gid: 0, groups: [0] }
const OTHERS_MAY_WRITE = 0o022
const S_ISVTX = 0o1000

/**
 * Claims the guest's windows, if it has any, for this process's life. Errors (UsageError): its RAM cannot be
 * reached, or not safely.
 */
export function launchWords(definition: VmDefinition): [string, ...string[]] {
  const ways = findRamMappings(definition)
  const line = reachRam(parseCommandLine(definition.argv), ways)
  const recorded = printCommandLine(line)
  const argv = definition.saved === null ? recorded : incomingArgv(recorded)
  if (definition.uid === 0 || !hasWindow(ways)) return commandAs(definition, argv)
  checkTrusted(line.binary)
  if (compareVersions(definition.qemuVersion as QemuVersion, RUN_WITH_USER) < 0)
    throw new UsageError(
      `VM ${definition.name}: only root opens /dev/mem, and QEMU ${definition.qemuVersion} cannot become another user: take ${RUN_WITH_USER} or newer, or --user root`,
    )
  return commandAs(ROOT, [...argv, '-run-with', `user=${userOf(definition)}`])
}

/** By name, so that it has all its groups; a number without an entry has its own. */
function userOf({ uid, gid }: Identity): string {
  const { name } = findPerson(String(uid), {})
  return name === String(uid) ? `${uid}:${gid}` : name
}

/** A program, and every folder on the way to it, that nobody but root can change. */
export function checkTrusted(path: string): void {
  for (let at = realpathSync(path); ; at = dirname(at)) {
    const { uid, mode } = statSync(at)
    const isShared = (mode & S_ISVTX) !== 0
    if (uid !== 0 || ((mode & OTHERS_MAY_WRITE) !== 0 && !isShared))
      throw new UsageError(
        `${path} would be started as root, to open /dev/mem, and others than root can change ${at}: use a QEMU that only root can change`,
      )
    if (at === '/') return
  }
}
