/** A guest with private RAM. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { scratchFolder, startTinyVm, type TestVm, type VmPool } from './support.ts'

/**
 * Its second DIMM is a private mapping of a file elsewhere, so QEMU writes its contents into the state file,
 * which takes room and time.
 */
export function startPrivateRamVm(
  t: TestContext,
  pool: VmPool,
  word: string,
  more: readonly string[] = [],
): Promise<TestVm> {
  const dimm = join(scratchFolder(t), 'dimm')
  writeFileSync(dimm, Buffer.alloc(64 << 20, 0x5a))
  return startTinyVm(t, pool, word, {
    options: [
      ...['-m', '64M,slots=1,maxmem=256M', '-device', 'pc-dimm,memdev=own'],
      ...['-object', `memory-backend-file,id=own,size=64M,mem-path=${dimm},share=off`],
      ...more,
    ],
  })
}
