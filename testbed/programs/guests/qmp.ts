/**
 * Sends one QMP command, without arguments, to the QEMU of each VM: `qmp.ts COMMAND VM…`. Prints the answers
 * as JSON, by the VM's name. It waits for each: QEMU drops the commands that it has read from a peer whose
 * end of the connection is closed.
 */
import { QmpClient } from '../../../src/qemu/qmp-client.ts'
import { qmpSocket } from '../../../src/run/vm-runtime.ts'

const [, , command = '', ...names] = process.argv
const TIMEOUT_MS = 30_000
const answers: [string, unknown][] = []
for (const name of names) {
  const qmp = await QmpClient.connect(qmpSocket(name), TIMEOUT_MS)
  answers.push([name, await qmp.execute(command, {}, TIMEOUT_MS)])
  qmp.close()
}
process.stdout.write(`${JSON.stringify(Object.fromEntries(answers))}\n`)
