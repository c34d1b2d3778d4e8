/**
 * The proof of `guestmemfs reserve`: its words alone make a carve-out that survives kexecs. This one is a
 * hard case: it begins below its own size, where KASLR would put the kernel, and where the first kexec would
 * load kernel and initrd.
 */
import { shellWord } from '../../src/values/shell-word.ts'
import { GIB } from '../../src/values/units.ts'
import { JUMP, loadKernel } from '../scenario/by-hand.ts'
import { doctorLines } from '../scenario/guest-nodes.ts'
import { printed, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const JUMPS = 2

const sorted = (commandLine: string): string[] => commandLine.split(' ').toSorted()

export const reserve: Scenario = {
  about: "the words of 'guestmemfs reserve' make a carve-out, whole after each kexec, and the doctor agrees",
  tier: 'long',
  memory: '10G',
  async run(stage) {
    const { host, next, phase, keep, expect } = stage
    const plan = await printed(host, 'reserve', '--size 5G --at 4G')
    keep('words', plan.addWords.join(' '))
    const refused = await refusal(host, 'guestmemfs reserve --size 5G --at 8G')
    expect('refused', refused, /5G at 8G is not all ordinary RAM: 1G at 12G /)
    for (let jump = 1; jump <= JUMPS; jump++) {
      await host.run(loadKernel(next, `--command-line=${shellWord(plan.commandLine)}`))
      await phase(`kexec ${jump}`, () => host.jump(JUMP))
      keep(`kernel ${jump}`, await host.run("grep 'Kernel code' /proc/iomem | xargs"))
      await expectWhole(stage, jump)
    }
    const again = await printed(host, 'reserve', '--size 5G --at 4G --numa 0 --replace')
    expect('planned anew', sorted(again.commandLine), sorted(plan.commandLine))
    const { pool, sizeBytes } = await phase('format', () => printed(host, 'format', 'guestmemfs --force'))
    expect('formatted', [pool, sizeBytes > 4 * GIB && sizeBytes < 5 * GIB], ['guestmemfs', true])
  },
}

async function expectWhole(stage: Stage, jump: number): Promise<void> {
  const lines = await doctorLines(stage, /^carve-out/)
  stage.keep(`doctor ${jump}`, lines)
  stage.expect(
    `carve-out ${jump}`,
    lines.map((line) => line.split(':', 1)[0]),
    ['ok carve-out 5G at 4G', 'ok carve-out kmem', 'ok carve-out KASLR', 'ok carve-out processes'],
  )
}
