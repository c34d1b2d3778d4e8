/**
 * Prints a line for each guest of this host that guestmemfs runs: its run state, and where its first
 * processor is. Evidence on a guest that prints nothing. Must not: change a guest, or fail for one that does
 * not answer.
 */
import { runStatus } from '../../../src/qemu/migration.ts'
import { QmpClient } from '../../../src/qemu/qmp-client.ts'
import { qmpSocket, vmNames } from '../../../src/run/vm-runtime.ts'
import { errorText } from '../../../src/values/errors.ts'

/** In a host that is emulated. */
const TIMEOUT_MS = 10_000
/** As `info registers` prints them. */
const TOLD = /\b(?:RIP=[0-9a-f]+|EIP=[0-9a-f]+|HLT=\d|CR0=[0-9a-f]+|CR2=[0-9a-f]+)/g

const told = vmNames().map(async (name) => {
  try {
    const qmp = await QmpClient.connect(qmpSocket(name), TIMEOUT_MS)
    const { status } = await runStatus(qmp)
    const registers = String(await qmp.execute('human-monitor-command', { 'command-line': 'info registers' }))
    qmp.close()
    return `guest ${name}: ${[status, ...(registers.match(TOLD) ?? [])].join(' ')}`
  } catch (error) {
    return `guest ${name}: ${errorText(error)}`
  }
})
process.stdout.write(`${(await Promise.all(told)).join('\n')}\n`)
