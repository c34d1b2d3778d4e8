/**
 * The scenario `systemd` on a pool of memfds: the unit's keeper holds the memory and the live update sessions
 * until the jump, while `systemctl kexec` stops and kills other processes.
 */
import { onSystemd } from './systemd.ts'

export const systemdKho = onSystemd({
  about: 'the same with no memory set aside: a pool of memfds, handed over by the live update orchestrator',
  kernel: 'luo',
  memory: '3G',
  append: 'kho=on liveupdate=on',
  options: 'size=1G',
})
