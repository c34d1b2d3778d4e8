/**
 * What /proc shows of the pages by which processes map files: their size as the kernel has it for the mapping
 * (vma_kernel_pagesize()), and how much of shared memory is mapped in 2 MiB at a time. Needs root for other
 * users' processes: those that this process may not look into are left out. Source: fs/proc/task_mmu.c. On a
 * host with several memory nodes also of which the pages are.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { readWhileAlive } from './holders.ts'
import { type NodeBytes, parseNumaMaps } from './page-nodes.ts'

export interface FileMapping {
  readonly pid: number
  /** The program's name, as `ps` shows it. */
  readonly program: string
  readonly path: string
  /** Of the mapping's first byte in the file. */
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly kernelPageBytes: number
  /** Of files in memory: what whole 2 MiB entries map. */
  readonly pmdMappedBytes: number
  /** Where it was asked for. Of pages that are ordinary memory, and that the process has touched. */
  readonly nodeBytes?: readonly NodeBytes[]
}

/**
 * Every mapping that `isWanted`. Reads `smaps`, which takes long, only of processes that have one; with
 * `hasNodes` `numa_maps`, too, which takes as long.
 */
export function fileMappings(
  isWanted: (path: string, offsetBytes: number) => boolean,
  { proc = '/proc', hasNodes = false }: { readonly proc?: string; readonly hasNodes?: boolean } = {},
): FileMapping[] {
  return readdirSync(proc)
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const of = (file: string) => quietly(() => readWhileAlive(join(proc, name, file)))
      const isOurs = ({ path, offsetBytes }: Head) => isWanted(path, offsetBytes)
      if (
        !of('maps')
          .split('\n')
          .some((line) => isOurs(parseHead(line)))
      )
        return []
      const program = of('comm').trim()
      const nodes = hasNodes ? parseNumaMaps(of('numa_maps')) : undefined
      return parseSmaps(of('smaps'))
        .filter(isOurs)
        .map(({ startAddress, ...mapping }) => ({
          pid: Number(name),
          program,
          ...mapping,
          ...(nodes && { nodeBytes: nodes.get(startAddress) ?? [] }),
        }))
    })
}

type Head = Pick<FileMapping, 'path' | 'offsetBytes' | 'lengthBytes'> & { readonly startAddress: number }

/** `START-END PERMISSIONS OFFSET DEVICE INODE PATH`. */
function parseHead(line: string): Head {
  const [range = '', , offset = '0', , , ...path] = line.split(/\s+/)
  const [start = 0, end = 0] = range.split('-').map((text) => Number.parseInt(text, 16))
  const name = path.join(' ').replace(/ \(deleted\)$/, '')
  const offsetBytes = Number.parseInt(offset, 16)
  return { path: name, startAddress: start, offsetBytes, lengthBytes: end - start }
}

/** Blocks of `Field: N kB` below a line of `maps` each. */
export function parseSmaps(text: string): (Head & Omit<FileMapping, 'pid' | 'program' | 'nodeBytes'>)[] {
  const blocks = text.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).filter((block) => block !== '')
  return blocks.map((block) => {
    const kib = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(block)?.[1] ?? 0)
    return {
      ...parseHead(block.slice(0, block.indexOf('\n'))),
      kernelPageBytes: kib('KernelPageSize') * 1024,
      pmdMappedBytes: (kib('ShmemPmdMapped') + kib('FilePmdMapped')) * 1024,
    }
  })
}

function quietly(look: () => string): string {
  try {
    return look()
  } catch {
    return '' // this process may not look into it
  }
}
