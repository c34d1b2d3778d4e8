/**
 * Why guests that need nothing of their pool's mount did not go on before it, on a host whose service manager
 * mounts it. Pure: what the unit of the early start has left and what the manager says of it in, lines out.
 */
import type { EarlyRecord } from '../guest/early-record.ts'
import type { UnitTimes } from './unit-times.ts'

/** `unit`: undefined where nothing asked the manager for it. */
export function earlyLines(record: EarlyRecord | undefined, unit: UnitTimes | undefined): string[] {
  if (record !== undefined) return [...record.left]
  if (unit === undefined) return []
  const { id, loadState, result } = unit
  if (loadState === 'masked') return [`${id} is masked: 'systemctl unmask ${id}' lets guests go on earlier`]
  if (loadState === 'not-found') return [`${id} is not installed: 'guestmemfs install' brings it`]
  // A boot that no kexec began has none to start.
  if (['', 'success', 'exec-condition'].includes(result)) return []
  return [`${id} failed (${result}): see 'journalctl -u ${id}'`]
}
