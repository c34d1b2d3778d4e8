/**
 * A process of a unit that puts a memfd into the service manager's store under each given name, as a keeper
 * would, and ends with status 1: the unit's next start finds no pool there.
 */
import { memfdCreate } from '../../src/linux/memory.ts'
import { connectDatagram, sendMessage } from '../../src/linux/sockets.ts'
import type { Fd } from '../../src/values/ids.ts'

const manager = connectDatagram(process.env.NOTIFY_SOCKET ?? '') as Fd
for (const name of process.argv.slice(2))
  sendMessage(manager, Buffer.from(`FDSTORE=1\nFDPOLL=0\nFDNAME=${name}`), [
    memfdCreate('', { sealable: false }),
  ])
process.exitCode = 1
