/**
 * The Linux guest that watches its devices: two disks, a TPM, a shared folder of the host, memory of two NUMA
 * nodes, and a network card that is plugged while it runs, with one TCP connection. What it does with each is
 * in the script.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildGuest, type LinuxGuest } from './linux-guest.ts'

const SCRIPT = join(import.meta.dirname, 'watching-guest.sh')
const APPLETS = [
  ...['sh', 'mount', 'insmod', 'sed', 'sleep', 'echo', 'dd', 'cmp', 'cat', 'printf', 'tail', 'tr'],
  ...['ip', 'mkfifo', 'nc', 'md5sum', 'mkdir'],
]
const MODULES = ['virtio_pci', 'virtio_blk', 'virtio_net']

export type Watched = 'disks' | 'tpm' | 'share' | 'nodes'

/** As `buildLinuxGuest`. `watched`: what it has from its start on; it waits for each. */
export async function buildWatchingGuest(folder: string, watched: readonly Watched[]): Promise<LinuxGuest> {
  const guest = await buildGuest(folder, {
    script: readFileSync(SCRIPT, 'utf8'),
    applets: APPLETS,
    folders: ['proc', 'sys', 'share'],
    modules: MODULES,
  })
  return { ...guest, commandLine: `${guest.commandLine} watch=${watched.join(',')}` }
}
