/**
 * The Linux guest that watches its devices: two disks, a TPM, a shared folder of the host, memory of two NUMA
 * nodes, an agent that suspends it, and a network card that is plugged while it runs, with one TCP
 * connection. What it does with each is in the script.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { helperFiles } from '../debian/helpers.ts'
import { buildGuest, type LinuxGuest } from './linux-guest.ts'

const SCRIPT = join(import.meta.dirname, 'watching-guest.sh')
const APPLETS = [
  ...['sh', 'mount', 'insmod', 'sed', 'sleep', 'echo', 'dd', 'cmp', 'cat', 'printf', 'tail', 'tr'],
  ...['ip', 'mkfifo', 'nc', 'md5sum', 'mkdir'],
]
const MODULES = ['virtio_pci', 'virtio_blk', 'virtio_net']

/** `agent`: qemu-ga answers at its port. `deaf`: what answers there suspends nothing. */
export type Watched = 'disks' | 'tpm' | 'share' | 'nodes' | 'agent' | 'deaf'

/** As `buildLinuxGuest`. `watched`: what it has from its start on; it waits for each. */
export async function buildWatchingGuest(folder: string, watched: readonly Watched[]): Promise<LinuxGuest> {
  const agent = watched.includes('agent') ? await helperFiles('agent') : new Map<string, Buffer>()
  const guest = await buildGuest(folder, {
    script: readFileSync(SCRIPT, 'utf8'),
    applets: APPLETS,
    folders: ['proc', 'sys', 'share', 'agent', 'run'],
    files: new Map([...agent].map(([name, bytes]) => [`agent/${name}`, bytes])),
    modules: MODULES,
  })
  return { ...guest, commandLine: `${guest.commandLine} watch=${watched.join(',')}` }
}
