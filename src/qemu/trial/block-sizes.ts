/**
 * The sizes of QEMU's memory blocks: firmware, ROMs of devices, video memory. A QEMU that has one of another
 * size refuses the guest (`Size mismatch`, parse_ramblock() in migration/ram.c), which is stopped by then.
 */
import * as v from 'valibot'
import { formatSize } from '../../values/size.ts'
import type { Ask } from '../machine/ask.ts'

/** QEMU enlarges some: up to `mostBytes`. */
export interface BlockSize {
  readonly usedBytes: number
  readonly mostBytes: number
}

/** By the name that a block has in the stream. */
export type BlockSizes = ReadonlyMap<string, BlockSize>

/** `NAME  4 KiB  0xOFFSET 0xUSED 0xMOST …`: ram_block_format() in system/physmem.c. */
const LINE = /^\s*(\S+)\s+\d+ \S+\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)/
/** Tables that firmware reads: QEMU takes a saved guest's as large as they may become. */
const RESIZED = '/rom@'

export const parseBlockSizes = (text: string): BlockSizes =>
  new Map(
    text.split('\n').flatMap((line) => {
      const [, name, used = '', most = ''] = LINE.exec(line) ?? []
      const size = { usedBytes: Number.parseInt(used, 16), mostBytes: Number.parseInt(most, 16) }
      return name === undefined ? [] : [[name, size] as const]
    }),
  )

/** Empty: this QEMU prints them in another format. Errors: as of `Ask`. */
export const readBlockSizes = async (ask: Ask): Promise<BlockSizes> =>
  parseBlockSizes(await ask(v.string(), 'human-monitor-command', { 'command-line': 'info ramblock' }))

/** One line for each block that the next QEMU has in a size that it would not load. */
export function otherSizes(running: BlockSizes, next: BlockSizes): string[] {
  return [...running].flatMap(([name, { usedBytes }]) => {
    const its = next.get(name)
    if (its === undefined) return []
    const isFit = name.startsWith(RESIZED) ? usedBytes <= its.mostBytes : usedBytes === its.usedBytes
    if (isFit) return []
    const [will, has] = [its.usedBytes, usedBytes].map((bytes) => formatSize(bytes))
    return [
      `its next QEMU would have ${name} of ${will}, and the guest has ${has}: give it the file that it was started with (romfile=, -bios)`,
    ]
  })
}
