/**
 * A host that is interrupted during metadata operations: by a kexec without a shutdown, and by a reset of the
 * machine that keeps its memory. The next mount must show all acknowledged operations, and none in part.
 */
import { loadKernel } from '../scenario/by-hand.ts'
import { expectClean } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT, MOUNT } from './carve-out.ts'

const COUNTERS = '/mnt/guestmemfs/counters'
const LOAD = 'node /opt/testbed/guestmemfs/testbed/programs/torn/load.ts'
const VERIFY = 'node /opt/testbed/guestmemfs/testbed/programs/torn/verify.ts'
/** Enough for several checkpoints of the log; at most as many again before the interruption. */
const OPERATIONS = 400

const TEARS = { 'kexec -e': 'kexec -e', reset: 'echo b >/proc/sysrq-trigger' } as const
const ROUNDS: readonly (keyof typeof TEARS)[] = ['kexec -e', 'reset', 'kexec -e']

export const torn: Scenario = {
  about: 'a kexec, and a reset, in the middle of metadata operations: what was acknowledged is there',
  tier: 'long',
  memory: '4G',
  append: CARVE_OUT,
  timeoutMs: 1500_000,
  resetStartsAgain: true,
  async run(stage) {
    const { host } = stage
    await host.run(`mkdir -p /mnt/guestmemfs; ${MOUNT}; touch ${COUNTERS}; truncate -s 2M ${COUNTERS}`)
    await host.atBoot(`mkdir -p /mnt/guestmemfs; ${MOUNT}`)
    for (const [round, tear] of ROUNDS.entries())
      await stage.phase(`${tear}, torn`, () => oneTear(stage, round, tear))
  },
}

async function oneTear(stage: Stage, round: number, tear: keyof typeof TEARS): Promise<void> {
  const { host, next, keep } = stage
  const seed = Math.floor(Math.random() * 2 ** 31)
  const directory = `/mnt/guestmemfs/round-${round}`
  const mounted = host.log('at-boot')
  const from = mounted.text.length
  await host.run(`mkdir ${directory}`)
  if (tear === 'kexec -e') await host.run(loadKernel(next))

  const { log } = await host.start(`load-${round}`, `exec ${LOAD} ${directory} ${seed} ${COUNTERS}`)
  const enough = OPERATIONS + Math.floor(Math.random() * OPERATIONS)
  await log.waitFor(new RegExp(`^did ${enough}$`, 'm'))
  await host.jump(TEARS[tear])

  // All lines from before the interruption have arrived: the port keeps the order, and the next agent's hello
  // came after them.
  const seen = [...log.text.matchAll(/^did (\d+)$/gm)].at(-1)?.[1]
  await mounted.waitFor(/on \/mnt\/guestmemfs/, { from })
  // The verifier fails where the folder differs from what was acknowledged.
  const verified = await host.json<object>(`${VERIFY} ${directory} ${seed} ${COUNTERS} ${seen}`)
  keep(`${tear}, round ${round}`, { seed, seen: Number(seen), ...verified })
  await expectClean(stage, `fsck, round ${round}`)
}
