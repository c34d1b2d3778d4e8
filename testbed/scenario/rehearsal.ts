/**
 * The rehearsal of an update inside the host: it must be ready, tell of each guest what is wanted, and leave
 * everything as it was.
 */
import type { Stage } from './scenario.ts'

/** The output of `live-update --kernel FILE --rehearse --json`, as far as scenarios read it. */
export interface PrintedRehearsal {
  readonly ready: boolean
  readonly load: { readonly outcome: string }
  readonly guests: readonly {
    readonly name: string
    readonly fate: string
    readonly state: string
    readonly expected: { readonly longestUs: number; readonly count: number; readonly of: string } | null
  }[]
}

/** For the trial of many QEMUs. */
const SLOW_MS = 1200_000
/** What a rehearsal could change. */
const STATE = 'guestmemfs vms --json; cat /sys/kernel/kexec_loaded; pgrep -c qemu-system'
/** A virtual machine that every host holds (image/held-vm.ts): nobody saves it. */
const HELD = 'process N (held-vm): lost, running'

export interface RehearsedUpdate {
  readonly command: string
  readonly when: string
  /** `NAME: FATE, STATE` of each guest. */
  readonly guests: readonly string[]
}

export async function rehearse(
  { host, phase, keep, expect }: Stage,
  { command, when, guests }: RehearsedUpdate,
): Promise<PrintedRehearsal> {
  const before = await host.run(STATE)
  const told = await phase(`rehearsal ${when}`, () =>
    host.json<PrintedRehearsal>(`${command} --rehearse --json`, { timeoutMs: SLOW_MS }),
  )
  keep(`rehearsal ${when}`, told)
  expect(`ready ${when}`, [told.ready, told.load.outcome], [true, 'unloaded'])
  expect(`state after the rehearsal ${when}`, await host.run(STATE), before)
  const found = told.guests.map(
    ({ name, fate, state }) => `${name.replace(/^process \d+/, 'process N')}: ${fate}, ${state}`,
  )
  expect(`guests ${when}`, found.toSorted(), [...guests, HELD].toSorted())
  return told
}
