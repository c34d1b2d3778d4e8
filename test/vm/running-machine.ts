/** The reading of a running guest to which a trial compares its next QEMU. */
import { askOf } from '../../src/qemu/machine/ask.ts'
import { readMachine } from '../../src/qemu/machine/read-machine.ts'
import { QmpClient } from '../../src/qemu/qmp-client.ts'
import { readBlockSizes } from '../../src/qemu/trial/block-sizes.ts'
import { readProcessor } from '../../src/qemu/trial/processor.ts'
import type { Running } from '../../src/qemu/trial/try-next-qemu.ts'
import { vmPaths } from '../../src/run/vm-runtime.ts'

/** Without facts of its disks and devices. */
export async function runningMachine(name: string): Promise<Running> {
  const qmp = await QmpClient.connect(vmPaths(name).qmp, 5000)
  try {
    const ask = askOf(qmp)
    const [now, blocks, processor] = [
      await readMachine(qmp),
      await readBlockSizes(ask),
      await readProcessor(ask),
    ]
    return { now, facts: [], plugged: [], blocks, processor, program: '/proc/self/exe', version: qmp.version }
  } finally {
    qmp.close()
  }
}
