/**
 * The proof of `guestmemfs reserve`: its words alone make a carve-out that survives kexecs. This one is a
 * hard case: it begins below its own size, where KASLR would put the kernel, and where the first kexec would
 * load kernel and initrd.
 */
import { shellWord } from '../../src/values/shell-word.ts'
import { JUMP, loadKernel } from '../scenario/by-hand.ts'
import { refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const JUMPS = 2

interface Finding {
  readonly name: string
  readonly state: string
  readonly detail: string
}

interface Plan {
  readonly addWords: readonly string[]
  readonly commandLine: string
}

const sorted = (commandLine: string): string[] => commandLine.split(' ').toSorted()

export const reserve: Scenario = {
  about: "the words of 'guestmemfs reserve' make a carve-out, whole after each kexec, and the doctor agrees",
  tier: 'long',
  memory: '10G',
  async run(stage) {
    const { host, next, phase, keep, expect } = stage
    const plan = await host.json<Plan>('guestmemfs reserve --size 5G --at 4G --json')
    keep('words', plan.addWords.join(' '))
    const refused = await refusal(host, 'guestmemfs reserve --size 5G --at 8G')
    expect('refused', refused, /5G at 8G is not all ordinary RAM: 1G at 12G /)
    for (let jump = 1; jump <= JUMPS; jump++) {
      await host.run(loadKernel(next, `--command-line=${shellWord(plan.commandLine)}`))
      await phase(`kexec ${jump}`, () => host.jump(JUMP))
      keep(`kernel ${jump}`, await host.run("grep 'Kernel code' /proc/iomem | xargs"))
      await expectWhole(stage, jump)
    }
    const again = await host.json<Plan>('guestmemfs reserve --size 5G --at 4G --numa 0 --replace --json')
    expect('planned anew', sorted(again.commandLine), sorted(plan.commandLine))
  },
}

/** By `doctor`, whose exit status also depends on other things that are missing. */
async function expectWhole({ host, keep, expect }: Stage, jump: number): Promise<void> {
  const { findings } = await host.json<{ findings: Finding[] }>('guestmemfs doctor --json || true')
  const ours = findings.filter(({ name }) => name.startsWith('carve-out'))
  keep(
    `doctor ${jump}`,
    ours.map(({ name, state, detail }) => `${state} ${name}: ${detail}`),
  )
  expect(
    `carve-out ${jump}`,
    ours.map(({ name, state }) => `${state} ${name}`),
    ['ok carve-out 5G at 4G', 'ok carve-out kmem', 'ok carve-out KASLR', 'ok carve-out processes'],
  )
}
