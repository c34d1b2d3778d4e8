/** Owns one live update of the host's kernel as a step of a scenario whose hosts mount and resume at boot. */
import type { GuestLog } from '../scenario/guest-log.ts'
import type { Stage } from '../scenario/scenario.ts'

/** Resolves with the report when every guest runs on in the next kernel. */
export async function updateOnce({ host, next }: Stage, guests: readonly GuestLog[]): Promise<unknown> {
  const atBoot = host.log('at-boot')
  const from = atBoot.text.length
  await host.jump(
    `guestmemfs live-update --kernel ${next.vmlinuz} --initrd ${next.initramfs} --reuse-cmdline --timeout-ms 180000`,
  )
  await atBoot.waitFor(/BLACKOUT[\s\S]*updated/, { from })
  await Promise.all(guests.map((each) => each.waitForTicks(3)))
  return JSON.parse(await host.run('guestmemfs report --json'))
}
