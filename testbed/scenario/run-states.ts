/** The run states of guests, asked of their QEMUs over QMP. */
import type { Host } from '../machine/host.ts'

/** `QMP COMMAND VM…` inside: the answers, by VM. */
export const QMP = 'node /opt/testbed/guestmemfs/testbed/programs/guests/qmp.ts'

/** QMP's word for each, by the guest's name. */
export async function runStates(host: Host, names: readonly string[]): Promise<Record<string, string>> {
  const answers = await host.json<Record<string, { readonly status: string }>>(
    `${QMP} query-status ${names.join(' ')}`,
  )
  return Object.fromEntries(Object.entries(answers).map(([name, { status }]) => [name, status]))
}
