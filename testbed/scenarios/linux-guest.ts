/**
 * The Linux guest of linux-parts.ts on two carve-outs, from one stock kernel to another. Without a shared
 * folder: virtiofsd asks for the size of what it maps, and guest RAM in a carve-out is a device.
 * linux-share.ts has one, on pools of memfds.
 */
import type { Scenario } from '../scenario/scenario.ts'
import { TWO_CARVE_OUTS } from './carve-out.ts'
import { type LinuxHost, linuxFiles, TPM, updateLinuxHost } from './linux-parts.ts'

const LINUX: LinuxHost = {
  mount: 'guestmemfs mount guestmemfs /mnt/guestmemfs -o store=dax,region=dax0.0',
  mountSecond: 'guestmemfs mount second /mnt/second -o store=dax,region=dax1.0',
  helpers: TPM,
  watched: [],
}

export const linuxGuest: Scenario = {
  about:
    'a Linux guest with RAM in two pools, an overlay, a plugged NIC in a bridge and swtpm, through a real kexec',
  tier: 'testbed',
  kernel: '6.12',
  nextKernel: 'trixie-backports',
  memory: '4G',
  timeoutMs: 2400_000,
  append: TWO_CARVE_OUTS,
  hasPeer: true,
  packages: ['swtpm'],
  files: () => linuxFiles(LINUX),
  run: (stage) => updateLinuxHost(stage, LINUX),
}
