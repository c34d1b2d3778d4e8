/**
 * Owns the proof of `guestmemfs reserve`: its words alone make a carve-out that lasts. The one it is asked for is harder than most:
 * it begins below its own size, where KASLR would go if nothing were done, and the first kexec loads kernel and initrd into it.
 */
import { shellWord } from '../../src/host/shell-word.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const JUMPS = 2

interface Finding {
  readonly name: string
  readonly state: string
  readonly detail: string
}

const sorted = (commandLine: string): string => commandLine.split(' ').toSorted().join(' ')

async function carveOutFindings(host: Stage['host']): Promise<Finding[]> {
  const report = JSON.parse(await host.run('guestmemfs doctor --json || true')) as { findings: Finding[] }
  return report.findings.filter(({ name }) => name.startsWith('carve-out'))
}

export const reserve: Scenario = {
  about: "the words of 'guestmemfs reserve' make a carve-out, whole after each kexec, and the doctor agrees",
  memory: '10G',
  async run({ host, next, phase, keep }) {
    const plan = JSON.parse(await host.run('guestmemfs reserve --size 5G --at 4G --json'))
    keep('words', plan.addWords.join(' '))
    keep('refused', await host.run('guestmemfs reserve --size 5G --at 8G 2>&1 || true'))
    const load = `kexec -s -l ${next.vmlinuz} --initrd=${next.initramfs} --command-line=${shellWord(plan.commandLine)}`
    for (let jump = 1; jump <= JUMPS; jump++) {
      await host.run(load)
      await phase(`kexec ${jump}`, () => host.jump('sync; kexec -e'))
      keep(`kernel ${jump}`, await host.run("grep 'Kernel code' /proc/iomem | xargs"))
      const findings = await carveOutFindings(host)
      keep(
        `doctor ${jump}`,
        findings.map(({ name, state, detail }) => `${state} ${name}: ${detail}`),
      )
      if (findings.length < 3 || findings.some(({ state }) => state !== 'ok'))
        throw new Error(`the carve-out does not hold: ${JSON.stringify(findings)}`)
    }
    const again = JSON.parse(await host.run('guestmemfs reserve --size 5G --at 4G --numa 0 --replace --json'))
    if (sorted(again.commandLine) !== sorted(plan.commandLine))
      throw new Error(`planned anew it is another: ${again.commandLine}`)
  },
}
