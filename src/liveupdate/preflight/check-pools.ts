/**
 * Checks that the pools of this host survive a kexec with their guests: memory that a kexec loses, an image
 * that the next kernel would refuse, a guest that the update would leave out. Pure.
 */
import type { KvmGuest } from '../../linux/kvm-guests.ts'
import type { TriedLines } from '../../qemu/carry/next-line.ts'
import { isInside } from '../../qemu/memory-backends.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'
import { outlivesKexec, type PoolFacts } from './pool-facts.ts'

/** `parked`: unmounted pools of memfds, whose memory only a process holds. */
export function checkPools(pools: readonly PoolFacts[], parked: readonly string[]): Finding[] {
  return [
    ...pools.flatMap((pool) => checkPool(pool)),
    ...checkSpread(pools),
    ...parked.map((pool) =>
      warn(`pool ${pool}`, `pool '${pool}' is parked with store=memfd: its files end with this kernel`),
    ),
  ]
}

/**
 * A guest with RAM in a pool that is not mounted, parked perhaps: what is in there ends with this kernel, or
 * is found by the next one in another state than the rest.
 */
function checkSpread(pools: readonly PoolFacts[]): Finding[] {
  const isMounted = (path: string): boolean => pools.some(({ mountPoint }) => isInside(path, mountPoint))
  const guests = new Set(pools.flatMap(({ vms }) => vms.filter(({ state }) => state !== 'dead')))
  return [...guests].flatMap(({ definition: { name, ramFiles } }) => {
    const away = ramFiles.find(({ path }) => !isMounted(path))
    if (away === undefined) return []
    return [
      fail(
        `VM ${name}`,
        `VM ${name} has RAM in ${away.path}, and the pool of that is not mounted: mount it first`,
      ),
    ]
  })
}

/**
 * RAM that was plugged into a guest, which its next QEMU has in another pool than those of its record: that
 * one must be handed over as well.
 */
export function checkPlugged(pools: readonly PoolFacts[], lines: TriedLines): Finding[] {
  return [...lines].flatMap(([name, { ramFiles }]) =>
    ramFiles.flatMap(({ path }) => {
      const facts = pools.find(({ mountPoint }) => isInside(path, mountPoint))
      if (facts?.isChosen && outlivesKexec(facts)) return []
      const why =
        facts === undefined
          ? 'the pool of that is not mounted'
          : facts.isChosen
            ? `pool '${facts.pool}' (store=${facts.store}) ends with this kernel`
            : `pool '${facts.pool}' is left out: name no pool to include it`
      return [fail(`VM ${name}`, `VM ${name} has RAM in ${path}, and ${why}`)]
    }),
  )
}

/** `guests`: all processes of this host that run one. A guest without a record in a pool ends unsaved. */
export function checkUnmanagedGuests(pools: readonly PoolFacts[], guests: readonly KvmGuest[]): Finding[] {
  return unmanagedGuests(pools, guests).map(({ pid, program }) =>
    warn(
      `process ${pid}`,
      `process ${pid} (${program}) runs a guest that 'guestmemfs run' did not start: it ends with this kernel`,
    ),
  )
}

/** Those of `guests` that have no record in a pool. */
export function unmanagedGuests(pools: readonly PoolFacts[], guests: readonly KvmGuest[]): KvmGuest[] {
  const ours = new Set(pools.flatMap(({ vms }) => vms.map(({ qemu }) => qemu?.pid)))
  return guests.filter(({ pid }) => !ours.has(pid))
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
  return facts.isChosen ? findings : [...findings, ...endingWithKernel(facts)]
}

/**
 * Findings for a pool that the update leaves out. Memory that is not handed over is lost with this kernel,
 * and guests and files with it.
 */
function endingWithKernel({ pool, by, vms, holdsFiles }: PoolFacts): Finding[] {
  const advice = 'name no pool to include it'
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
