/**
 * Sends the guest of a VM a non-maskable interrupt. Argument: the VM's name. It waits for each answer: QEMU
 * drops the commands that it has read from a peer whose end of the connection is closed.
 */
import { QmpClient } from '../../../src/qemu/qmp-client.ts'
import { qmpSocket } from '../../../src/run/vm-runtime.ts'

const [, , name = ''] = process.argv
const TIMEOUT_MS = 30_000
const qmp = await QmpClient.connect(qmpSocket(name), TIMEOUT_MS)
await qmp.execute('inject-nmi', {}, TIMEOUT_MS)
qmp.close()
