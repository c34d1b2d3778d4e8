/**
 * `npm run demo`: in a throw-away host of the testbed a guest runs on a pool, one command replaces the host's
 * kernel, and the guest's output shows whether it noticed. This machine stays as it is.
 */
import { UsageError } from '../../src/values/errors.ts'
import { testbedObstacle } from '../../testbed/obstacle.ts'
import { runTrusted } from '../../testbed/scenario/trusted-run.ts'
import { update } from '../../testbed/scenarios/update.ts'

const print = (line: string): void => void process.stdout.write(`${line}\n`)
const seconds = (us: number): string => `${(us / 1e6).toFixed(2)} s`

export async function demoKernel(): Promise<void> {
  const obstacle = await testbedObstacle((_, work) => work())
  if (obstacle !== undefined) throw new UsageError(obstacle)
  print('A host to throw away boots in a QEMU of its own, with a guest on a pool that a kexec leaves alone.')
  const { summary, result } = await runTrusted('demo', update, {}, print)
  const { verdict, failure, guests, accelerator, folder } = summary
  if (verdict !== 'passed' || result === undefined)
    throw new UsageError(`${failure} (consoles and logs: ${folder})`)

  const { kernel, vms } = result
  const [vm] = vms
  const { guest } = guests
  if (kernel === undefined || vm === undefined || guest === undefined)
    throw new UsageError('the update left no report')
  print('')
  print(`  the host's kernel   ${kernel.before}  →  ${kernel.after}`)
  print(
    `  the guest's last line before, and its first after:   tick ${guest.before} bad 0   tick ${guest.after} bad 0`,
  )
  print(
    `  ${guest.ticks} ticks without a gap, ${guest.badWords} bad words, ${(guest.silenceMs / 1000).toFixed(1)} s of silence by the clock outside`,
  )
  for (const { phase, durationUs } of vm.phases)
    print(`    ${phase.padEnd(10)} ${seconds(durationUs).padStart(9)}`)
  if (vm.blackoutUs !== null)
    print(
      `    ${'blackout'.padEnd(10)} ${seconds(vm.blackoutUs).padStart(9)}   (the host's clocks agree to ${seconds(kernel.clockUncertaintyUs)})`,
    )
  if (accelerator === 'tcg')
    print('  All of it was emulated in software: on real hardware a kernel boots in a few seconds.')
  print('')
  print('The guest kept its memory through another kernel and went on.')
}
