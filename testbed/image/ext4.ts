/** Makes an ext4 image of a folder, without mounting anything and without being root. */
import { closeSync, ftruncateSync, openSync } from 'node:fs'
import { command } from '../command.ts'

const BLOCK_BYTES = 4096
const MIB = 1024 * 1024

/**
 * Writes `image` (sparse) with everything under `folder` and `freeBytes` of room. Whatever the owners here,
 * `/` is root's; it has a journal, since the host jumps without unmounting it.
 */
export async function makeExt4(folder: string, image: string, freeBytes: number): Promise<void> {
  const usage = await command('du', ['--summarize', '--apparent-size', `--block-size=${BLOCK_BYTES}`, folder])
  const contentBytes = Number.parseInt(usage, 10) * BLOCK_BYTES
  // With room for inode tables, the journal and the rounding of small files.
  const sizeBytes = Math.ceil((contentBytes * 1.15 + freeBytes) / MIB + 64) * MIB
  const fd = openSync(image, 'wx')
  ftruncateSync(fd, sizeBytes)
  closeSync(fd)
  const now = 'root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0'
  const options = ['-q', '-F', '-b', String(BLOCK_BYTES), '-m', '0', '-J', 'size=16', '-E', now]
  await command('mkfs.ext4', [...options, '-d', folder, image], {
    env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` },
  })
}
