/**
 * What carries out QMP commands of one QEMU, whoever has the connection: ours (`QmpClient`), or that of
 * libvirt for a QEMU which it owns.
 */

export interface QmpCommands {
  /** What the command returns. Errors: QemuRefusal in QEMU's words; QemuError, no answer in time. */
  execute(command: string, parameters?: object, timeoutMs?: number): Promise<unknown>
}
