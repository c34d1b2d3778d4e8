/**
 * The scenario `systemd` on a pool of memfds: the unit's keeper has the memory and the live update sessions
 * through all that `systemctl kexec` stops and kills, up to the jump.
 */
import { onSystemd } from './systemd.ts'

export const systemdKho = onSystemd({
  about: 'the same with no memory set aside: a pool of memfds, handed over by the live update orchestrator',
  kernel: 'luo',
  memory: '3G',
  append: 'kho=on liveupdate=on',
  options: 'size=1G',
})
