/**
 * The rehearsal of an update inside the host: it must be ready, tell of each guest what is wanted, and leave
 * everything as it was.
 */
import type { Outputs } from '../../src/cli/json/outputs.ts'
import { readPrinted } from '../printed-json.ts'
import type { Stage } from './scenario.ts'

export type PrintedRehearsal = NonNullable<Outputs['live-update']['rehearsal']>

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
  const { ready, rehearsal: told } = await phase(`rehearsal ${when}`, async () =>
    readPrinted('live-update', await host.run(`${command} --rehearse --json`, { timeoutMs: SLOW_MS })),
  )
  if (told === null) throw new Error(`no rehearsal was printed: ${command}`)
  keep(`rehearsal ${when}`, told)
  expect(`ready ${when}`, [ready, told.load?.outcome], [true, 'unloaded'])
  expect(`state after the rehearsal ${when}`, await host.run(STATE), before)
  const found = told.guests.map(
    ({ name, fate, state }) => `${name.replace(/^process \d+/, 'process N')}: ${fate}, ${state}`,
  )
  expect(`guests ${when}`, found.toSorted(), [...guests, HELD].toSorted())
  return told
}
