/**
 * What mounts pools in the next boot of this machine, as far as /etc/fstab and systemd's units say. Must not:
 * decide what follows from it. What a script of the machine mounts is not known here.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isMountedAtBoot } from '../linux/fstab.ts'
import { textIfReadable } from '../linux/readable-file.ts'
import { poolsOfFstab } from './next-boot.ts'

export interface BootMounts {
  /** Names of pools in fstab, without lines that something else has to ask for. */
  readonly pools: readonly string[]
  /** Mount points that a unit names beside guestmemfs. */
  readonly mountPoints: readonly string[]
}

/** Where systemd finds units that outlive a boot (systemd.unit(5)). */
const UNITS = ['/etc', '/usr/local/lib', '/usr/lib'].map((folder) => `${folder}/systemd/system`)

/** `root`: where the machine's files are; tests have another. */
export function readBootMounts(root = '/'): BootMounts {
  const lines = poolsOfFstab(root).filter(isMountedAtBoot)
  // A unit may be a link to nothing, or to /dev/null.
  const units = UNITS.flatMap((folder) => unitsIn(join(root, folder)))
  return {
    pools: lines.map(({ pool }) => pool),
    mountPoints: [...new Set(units.flatMap((path) => mountPointsIn(textIfReadable(path))))],
  }
}

function unitsIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => /\.(mount|service)$/.test(name))
    return names.map((name) => join(folder, name))
  } catch {
    return [] // No such folder: this machine has no systemd.
  }
}

/** Of a mount unit's `Where=`, and the paths in a command that mounts a pool. */
function mountPointsIn(unit: string): string[] {
  const text = unit.replaceAll('\\\n', ' ')
  const where = /^Type=(?:fuse\.)?guestmemfs\s*$/m.test(text) ? /^Where=(\/\S*)/m.exec(text)?.[1] : undefined
  const commands = [...text.matchAll(/^Exec\w+=(.*\bguestmemfs\b.*)$/gm)].map(([, line = '']) => line)
  const words = commands.flatMap((line) => (/\bmount\b/.test(line) ? line.split(/[\s"';]+/) : []))
  return [...(where === undefined ? [] : [where]), ...words.filter((word) => word.startsWith('/'))]
}
