/**
 * The domains that libvirt runs on this host: those with their RAM in a pool, which are guests like all
 * others, and the rest by the reason. It asks virsh alone, and not at all where libvirt runs no domain.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { settingOf } from '../host/libvirt-settings.ts'
import { poolMounts } from '../pool/pool-view.ts'
import { isInside } from '../qemu/memory-backends.ts'
import { errorText, UsageError } from '../values/errors.ts'
import { LIBVIRT_PATHS, LIBVIRT_STATE, RAM_FOLDERS } from '../values/libvirt-paths.ts'
import { Limit } from '../values/limit.ts'
import { type DomainDescription, describeDomain } from './describe-domain.ts'
import { type DomainRam, ramIn } from './saved-ram.ts'
import { activeUuids, liveXmlWords, type Virsh, virsh } from './virsh.ts'

/** With its RAM in a pool. */
export interface ActiveDomain {
  readonly about: DomainDescription
  /** libvirt's live XML, with passwords. */
  readonly xml: string
  readonly id: number
  /** It is defined, too, and stays where it is destroyed. */
  readonly isPersistent: boolean
  /** Of its QEMU; undefined: not known. */
  readonly pid: number | undefined
  readonly mountPoint: string
  /** libvirt's, of its RAM. */
  readonly folder: string
  readonly ram: readonly DomainRam[]
}

export interface ActiveDomains {
  /** By name. */
  readonly ours: readonly ActiveDomain[]
  /** They cannot be updated. */
  readonly others: readonly OtherDomain[]
  /** libvirt does not answer, or what it answers cannot be read: a line each. */
  readonly problems: readonly string[]
}

export interface OtherDomain {
  readonly uuid: string
  readonly name: string
  readonly pid: number | undefined
  readonly whyNot: string
}

export const NO_DOMAINS: ActiveDomains = { ours: [], others: [], problems: [] }

/** What this host has besides libvirt's answers. Tests have another. */
export interface DomainHost {
  /** Of libvirt's state: it has a file for each domain that is active, also while its daemon does not run. */
  readonly stateFolder: string
  readonly qemuConf: string
  readonly mountPoints: () => readonly string[]
  readonly ramIn: (folder: string) => DomainRam[]
}

const THIS_HOST: DomainHost = {
  stateFolder: LIBVIRT_STATE,
  qemuConf: LIBVIRT_PATHS.qemuConf,
  mountPoints: () => poolMounts().map(({ mountPoint }) => mountPoint),
  ramIn,
}

/** Each is a process of virsh, and a thread of libvirt's daemon. */
const AT_ONCE = 4

export async function activeDomains(run: Virsh = virsh, host = THIS_HOST): Promise<ActiveDomains> {
  if (!hasActiveDomain(host.stateFolder)) return NO_DOMAINS
  let uuids: string[]
  let persistent: string[]
  try {
    uuids = await activeUuids(run)
    persistent = await activeUuids(run, ['--persistent'])
  } catch (error) {
    return {
      ...NO_DOMAINS,
      problems: [`libvirt has domains that run, and does not answer: ${errorText(error)}`],
    }
  }
  const limit = new Limit(AT_ONCE)
  const found = await Promise.all(
    uuids.map((uuid) =>
      limit.run(() =>
        lookAt(uuid, persistent.includes(uuid), run, host).catch(
          (error: unknown): Looked => ({ problem: `domain ${uuid}: ${errorText(error)}` }),
        ),
      ),
    ),
  )
  return {
    ours: found.flatMap((each) => each.ours ?? []).sort(byName),
    others: found.flatMap((each) => each.other ?? []),
    problems: found.flatMap((each) => each.problem ?? []),
  }
}

const byName = ({ about: a }: ActiveDomain, { about: b }: ActiveDomain): number => (a.name < b.name ? -1 : 1)

/** Whether libvirt runs a domain, by the files that it has for each. */
export function hasActiveDomain(stateFolder = LIBVIRT_STATE): boolean {
  try {
    return readdirSync(stateFolder).some((name) => name.endsWith('.xml'))
  } catch {
    return false // there is no libvirt, or it has run none since the machine started
  }
}

/**
 * One domain as it is now. Errors: UsageError, it has ended or is in no pool any more; QemuError,
 * CorruptBytesError, libvirt does not answer, or not so that it can be read.
 */
export async function readActiveDomain(uuid: string, run: Virsh, host = THIS_HOST): Promise<ActiveDomain> {
  const persistent = await activeUuids(run, ['--persistent'])
  const { ours, other } = await lookAt(uuid, persistent.includes(uuid), run, host)
  if (ours === undefined) throw new UsageError(other?.whyNot ?? 'it has ended')
  return ours
}

interface Looked {
  readonly ours?: ActiveDomain
  readonly other?: OtherDomain
  readonly problem?: string
}

async function lookAt(uuid: string, isPersistent: boolean, run: Virsh, host: DomainHost): Promise<Looked> {
  const xml = await run(liveXmlWords(uuid))
  const about = describeDomain(xml)
  const { name, id, whyNot } = about
  const pid = pidOf(name, host.stateFolder)
  // It has ended since it was listed.
  if (id === undefined) return {}
  if (whyNot !== undefined) return { other: { uuid, name, pid, whyNot } }
  const place = placeOf(id, name, host)
  if (place === undefined)
    return {
      other: {
        uuid,
        name,
        pid,
        whyNot: 'its RAM is in no pool: it was started before memory_backing_dir was set',
      },
    }
  return { ours: { about, xml, id, isPersistent, pid, ...place, ram: host.ramIn(place.folder) } }
}

function pidOf(name: string, stateFolder: string): number | undefined {
  try {
    return Number(readFileSync(join(stateFolder, `${name}.pid`), 'latin1')) || undefined
  } catch {
    return undefined
  }
}

/** libvirt cuts the name in it (virDomainDefGetShortName(), src/conf/domain_conf.c). */
const MOST_CHARACTERS = 20

/** undefined: libvirt has its RAM in no pool. */
function placeOf(
  id: number,
  name: string,
  host: DomainHost,
): Pick<ActiveDomain, 'mountPoint' | 'folder'> | undefined {
  const mountPoints = host.mountPoints()
  const set = memoryBackingDir(host.qemuConf)
  // What is set now may not be what was set when the domain was started.
  for (const memory of [...(set === undefined ? [] : [set]), ...mountPoints]) {
    const folder = join(memory, RAM_FOLDERS, `${id}-${[...name].slice(0, MOST_CHARACTERS).join('')}`)
    const mountPoint = mountPoints.filter((each) => isInside(folder, each)).sort(byLength)[0]
    if (mountPoint !== undefined && existsSync(folder)) return { mountPoint, folder }
  }
  return undefined
}

/** Of mounts in one another the innermost one has the folder. */
const byLength = (a: string, b: string): number => b.length - a.length

/** As libvirt's configuration has it; undefined: it is not set there. */
export function memoryBackingDir(qemuConf = LIBVIRT_PATHS.qemuConf): string | undefined {
  try {
    return settingOf(readFileSync(qemuConf, 'utf8'), 'memory_backing_dir')
  } catch {
    return undefined
  }
}
