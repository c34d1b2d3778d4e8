/**
 * Where QEMU reports each block of a guest's RAM, and whether it survives an update there. QEMU leaves all
 * shared memory out of the stream (`x-ignore-shared`) and writes other memory into it. So shared memory must
 * be in the files on record, or the guest would be resumed without it.
 */
import { resolve } from 'node:path'
import { formatSize } from '../../values/size.ts'
import { type RamFile, resolveInDirectory } from '../memory-backends.ts'
import { readRamDevice, readRamMap } from '../ram-file.ts'
import type { VmDefinition } from '../vm-definition.ts'
import type { RamBlock } from './reading.ts'

/**
 * One line for each block that an update would lose, or that differs from the record. Errors (UsageError): a
 * RAM file cannot be read.
 */
export function lostRam(
  ram: readonly RamBlock[],
  { ramFiles, cwd }: Pick<VmDefinition, 'ramFiles' | 'cwd'>,
): string[] {
  const lost = ram.flatMap(({ id, type, sizeBytes, isShared, path, isDiscarded }) => {
    if (!isShared) return []
    const file = ramFiles.find((each) => each.id === id)
    const what = `${formatSize(sizeBytes)} of its RAM (${path ?? type}, '${id}')`
    // Set by `qom-set` while it ran: `run` refuses it in the line.
    if (isDiscarded)
      return [
        `${what} would be destroyed with the end of its QEMU: 'qom-set /objects/${id} discard-data false'`,
      ]
    if (file === undefined)
      return [
        `${what} are not in the pool and would be lost: take them out (device_del, object-del), and plug a file of the pool (object-add memory-backend-file with mem-path= and share=on)`,
      ]
    if (path !== null && isMappedFrom(path, file, cwd) && sizeBytes === file.sizeBytes) return []
    return [`${what} are not ${formatSize(file.sizeBytes)} of ${file.path}, as recorded`]
  })
  const missing = ramFiles.filter(({ id }) => !ram.some((block) => block.id === id && block.isShared))
  return [...lost, ...missing.map(({ id, path }) => `its QEMU has no RAM '${id}' on ${path} any more`)]
}

/** Bytes of RAM that QEMU writes into the state file while the guest is stopped. */
export const streamedBytes = (ram: readonly RamBlock[]): number =>
  ram.reduce((sum, { isShared, sizeBytes }) => sum + (isShared ? 0 : sizeBytes), 0)

/**
 * QEMU's line has the file's own path, /dev/mem for its window, or the node that it opened before the mount.
 */
function isMappedFrom(path: string, file: RamFile, cwd: string): boolean {
  if (resolveInDirectory(resolve(cwd, path)) === file.path) return true
  const map = readRamMap(file.path)
  return map.by === 'devmem' ? map.path === path : readRamDevice(file.path)?.node === path
}
