/**
 * Checks that the pools of this host survive a kexec with their guests: memory that a kexec loses, an image
 * that the next kernel would refuse, a guest that the update would leave out. Pure.
 */
import type { KvmGuest } from '../../linux/kvm-guests.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'
import { outlivesKexec, type PoolFacts } from './pool-facts.ts'

/** `parked`: unmounted pools of memfds, whose memory only a process holds. */
export function checkPools(pools: readonly PoolFacts[], parked: readonly string[]): Finding[] {
  return [
    ...pools.flatMap((pool) => checkPool(pool)),
    ...parked.map((pool) =>
      warn(`pool ${pool}`, `pool '${pool}' is parked with store=memfd: its files end with this kernel`),
    ),
  ]
}

/** `guests`: all processes of this host that run one. A guest without a record in a pool ends unsaved. */
export function checkUnmanagedGuests(pools: readonly PoolFacts[], guests: readonly KvmGuest[]): Finding[] {
  const ours = new Set(pools.flatMap(({ vms }) => vms.map(({ qemu }) => qemu?.pid)))
  return guests
    .filter(({ pid }) => !ours.has(pid))
    .map(({ pid, program }) =>
      warn(
        `process ${pid}`,
        `process ${pid} (${program}) runs a guest that 'guestmemfs run' did not start: it ends with this kernel`,
      ),
    )
}

function checkPool(facts: PoolFacts): Finding[] {
  const { pool, store, vms, imageErrors, problems } = facts
  const subject = `pool ${pool}`
  const guests = vms.filter(({ state }) => state !== 'dead').map(({ definition }) => definition.name)
  const findings = problems.map((problem) => fail(subject, problem))
  if (!outlivesKexec(facts)) {
    const advice =
      "boot a kernel with CONFIG_LIVEUPDATE and kho=on liveupdate=on, or move them to a pool with store=dax on a carve-out: see 'guestmemfs doctor' and 'guestmemfs reserve'"
    if (guests.length > 0)
      findings.push(
        fail(
          subject,
          `pool '${pool}' (store=${store}) ends with this kernel, and VM ${guests.join(', ')} with it: ${advice}`,
        ),
      )
    else if (facts.holdsFiles)
      findings.push(
        warn(subject, `pool '${pool}' (store=${store}) ends with this kernel, and its files with it`),
      )
    return findings
  }
  for (const message of imageErrors)
    findings.push(
      fail(subject, `the image of pool '${pool}' is not sound: ${message}: see 'guestmemfs fsck ${pool}'`),
    )
  return facts.isChosen ? findings : [...findings, ...leftBehind(facts)]
}

/**
 * Findings for a pool that the update leaves out. Memory that is not handed over is lost with this kernel,
 * and guests and files with it.
 */
function leftBehind({ pool, by, vms, holdsFiles }: PoolFacts): Finding[] {
  const advice = 'leave out --mount to include it'
  const ending = vms.filter(({ state }) => state === 'running' || (state === 'saved' && by === 'luo'))
  const findings = ending.map(({ definition: { name }, state }) =>
    fail(
      `VM ${name}`,
      `VM ${name} of pool '${pool}'${state === 'saved' ? ', which is saved,' : ''} would end with this kernel: ${advice}`,
    ),
  )
  if (findings.length > 0 || by !== 'luo' || !holdsFiles) return findings
  return [fail(`pool ${pool}`, `the files of pool '${pool}' would end with this kernel: ${advice}`)]
}
