/**
 * What `install --libvirt` needs to know of libvirt, and tells of it: its version, and what must be set in
 * its configuration; and whether its files may be removed again. Must not: change either.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hasLibvirtFiles } from '../host/libvirt-files.ts'
import { missingSettings, type PoolForLibvirt } from '../host/libvirt-settings.ts'
import { DeadMount, poolMounts, readVirtual } from '../pool/pool-view.ts'
import { STORES } from '../stores/registry.ts'
import { errorText, UsageError } from '../values/errors.ts'
import { EMULATOR, LIBVIRT_PATHS } from '../values/libvirt-paths.ts'
import type { StoreKind } from '../values/store-kinds.ts'
import { readDomainRecords } from './domain-record.ts'
import { type Virsh, virsh } from './virsh.ts'

/** The first that calls every hook of a folder (docs/hooks.rst of libvirt). */
const OLDEST = [6, 5]

/** Errors (UsageError): there is no libvirt, or one that would not call the hook. */
export async function checkLibvirt(run: Virsh = virsh): Promise<void> {
  let version: string
  try {
    version = (await run(['--version'])).trim()
  } catch (error) {
    throw new UsageError(`${errorText(error)}: install libvirt-daemon-system and libvirt-clients first`)
  }
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return
  throw new UsageError(
    `libvirt ${version} does not call hooks in qemu.d: it needs ${OLDEST.join('.')} or newer`,
  )
}

/**
 * Before the hook is removed from below `prefix`: without it libvirt would start a saved domain anew, on the
 * disks of the saved guest. Errors (UsageError): an update of a domain has not ended there.
 */
export function refuseWhileSaved(prefix: string): void {
  if (!hasLibvirtFiles(prefix)) return
  const { records, problems } = readDomainRecords(join(prefix, LIBVIRT_PATHS.records))
  const [problem] = problems
  if (problem !== undefined) throw new UsageError(problem)
  if (records.length === 0) return
  const names = records.map(({ name }) => name).join(', ')
  throw new UsageError(
    `without the hook libvirt would start ${names} anew, whose update has not ended: 'guestmemfs resume' first`,
  )
}

/** Lines for the operator. */
export function libvirtAdvice(): string[] {
  const pools = poolMounts().flatMap(({ mountPoint }) => lookAt(mountPoint) ?? [])
  return adviceFor(confText(), pools)
}

/** `conf`: the text of qemu.conf. Pure. */
export function adviceFor(conf: string, pools: readonly PoolForLibvirt[]): string[] {
  const missing = missingSettings(conf, pools)
  return [
    ...(missing.length === 0
      ? []
      : [`set in ${LIBVIRT_PATHS.qemuConf}:`, ...missing.map((line) => `    ${line}`)]),
    "'systemctl restart libvirtd' then makes libvirt read that and call the hook; its guests run on",
    ...(pools.some(({ isCarveOut }) => isCarveOut)
      ? [`a domain with its RAM in a carve-out needs <emulator>${EMULATOR}</emulator>`]
      : []),
  ]
}

/** undefined: the mount does not answer. */
function lookAt(mountPoint: string): PoolForLibvirt | undefined {
  try {
    const { store } = readVirtual(mountPoint, 'pool') as { store: string }
    const isKnown = Object.hasOwn(STORES, store)
    return { mountPoint, isCarveOut: isKnown && STORES[store as StoreKind].carveOut !== false }
  } catch (error) {
    if (error instanceof DeadMount) return undefined
    throw error
  }
}

function confText(): string {
  try {
    return readFileSync(LIBVIRT_PATHS.qemuConf, 'utf8')
  } catch {
    return ''
  }
}
