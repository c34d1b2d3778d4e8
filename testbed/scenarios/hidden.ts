/**
 * The proof that guest memory is hidden, and that it costs no struct pages: the host's real page tables, read
 * from outside while guests run in each of the three stores. It looks for the guest's own bytes, in the same
 * way for all three stores, and must find those of two: otherwise finding nothing would prove nothing.
 */
import assert from 'node:assert/strict'
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { kernelMappings, type PhysicalRange, visibleBytes } from '../machine/page-tables.ts'
import { kexecByHand } from '../scenario/by-hand.ts'
import { onlyVm } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const MIB = 2 ** 20
const GUEST_MIB = 64
const CARVED_MIB = 512
/**
 * Half of the memory above 4 GiB, in two ways. `nopti`: else a processor in user mode would have no mapping
 * of the kernel. `no5lvl`: QEMU takes minutes for five levels of tables. `nogbpages`: the kernel counts a
 * page of 1 GiB again on each pass (phys_pud_init(), arch/x86/mm/init_64.c), and its sums would be wrong.
 */
const APPEND = 'memmap=512M$4G memmap=512M%4608M-1+0xefffffff modprobe.blacklist=kmem nopti no5lvl nogbpages'
const SEEDS = { memfd: 3, dax: 5, devmem: 7 } as const
type StoreKind = keyof typeof SEEDS
const STORES = Object.keys(SEEDS) as StoreKind[]

const mount = (store: StoreKind) =>
  `mkdir -p /mnt/${store}; guestmemfs mount ${store} /mnt/${store} -o store=${store}${store === 'memfd' ? ',size=256M' : ''}`
/** `kvm=off`: else the host would map a page of the guest for KVM's clock, and the search would find it. */
const qemu = (store: StoreKind) =>
  guestCommand({
    name: store,
    mebibytes: GUEST_MIB,
    ram: `/mnt/${store}/ram`,
    machine: 'q35',
    cpu: 'host,kvm=off',
    serial: 'stdio',
  })

const PHYSICAL = 'node /opt/testbed/guestmemfs/testbed/programs/memory/physical.ts'

/** Where the tiny guest's pattern begins, and how its words are made (guests/tiny-guest.ts). */
const PATTERN_BYTE = 2 * MIB
const [ADDRESS_FACTOR, PASS_STEP] = [0x9e3779b1, 0x85ebca6b]
const PASSES = 100_000

export const hidden: Scenario = {
  about:
    "guest memory is not in the host's page tables and has no struct pages with devmem; with memfd and dax it is found there",
  tier: 'testbed',
  memory: '4G',
  append: APPEND,
  files: () =>
    Object.fromEntries(STORES.map((store) => [store, buildTinyGuest({ mebibytes: 8, seed: SEEDS[store] })])),
  async run(stage) {
    const { host, phase, keep, guest } = stage
    const before = await phase('memory before', () => memoryFigures(stage))
    for (const store of STORES) await phase(`mount ${store}`, () => host.run(mount(store)))
    for (const store of STORES)
      await host.start(store, `exec guestmemfs run --name ${store} -- ${qemu(store)}`)
    await phase('guests run', () => Promise.all(STORES.map((store) => guest(store).waitForTicks(3))))
    const ranges = Object.fromEntries(
      await Promise.all(STORES.map(async (store) => [store, await rangesOf(stage, store)] as const)),
    )
    for (const store of STORES) await checkBytes(stage, store, ranges[store] as PhysicalRange[])
    await phase('look', () => lookAt(stage, 'visible', ranges))
    const after = await phase('memory after', () => memoryFigures(stage))
    keep('memory', { before, after })
    checkFigures(before, after)

    // In the next kernel, too, which still has the bytes.
    await kexecByHand(stage)
    await phase('mount again', () => host.run(`${mount('dax')}; ${mount('devmem')}; readlink /mnt/dax/ram`))
    const kept = { dax: ranges.dax as PhysicalRange[], devmem: ranges.devmem as PhysicalRange[] }
    for (const store of ['dax', 'devmem'] as const) await checkBytes(stage, store, kept[store])
    await phase('look again', () => lookAt(stage, 'visible after a kexec', kept))
  },
}

/** For a memfd the kernel reports each page; for the others the pool has the place. */
async function rangesOf({ host }: Stage, store: StoreKind): Promise<PhysicalRange[]> {
  if (store === 'memfd') {
    const { pid } = await onlyVm(host, '/mnt/memfd')
    return host.json<PhysicalRange[]>(`${PHYSICAL} ${pid} /mnt/memfd/ram`)
  }
  const value = <T>(path: string, name: string) =>
    host.json<T>(`getfattr -h --only-values -n guestmemfs.${name} ${path}`)
  const { place } = await value<{ place: { startByte: number } }>(`/mnt/${store}`, 'pool')
  const extents = await value<Extent[]>(`/mnt/${store}/ram`, 'extents')
  return extents.map(({ poolOffsetBytes, lengthBytes }) => ({
    start: place.startByte + poolOffsetBytes,
    lengthBytes,
  }))
}

interface Extent {
  readonly poolOffsetBytes: number
  readonly lengthBytes: number
}

/** QEMU's monitor must find the guest's pattern at this place, which shows that it is the guest's memory. */
async function checkBytes(
  { host }: Stage,
  store: StoreKind,
  ranges: readonly PhysicalRange[],
): Promise<void> {
  const address = physicalOf(ranges, PATTERN_BYTE)
  const [, digits] = / 0x([0-9a-f]{8})/.exec(await host.monitor(`xp /1wx 0x${address.toString(16)}`)) ?? []
  const salt = (Number.parseInt(digits ?? '', 16) - Math.imul(PATTERN_BYTE, ADDRESS_FACTOR)) >>> 0
  let expected = SEEDS[store]
  for (let pass = 0; pass < PASSES && expected !== salt; pass++) expected = (expected + PASS_STEP) >>> 0
  assert.equal(
    salt,
    expected,
    `${store}: the word at 0x${address.toString(16)} is not the guest's: ${digits}`,
  )
}

/** Ranges of a memfd have their offset in it; others follow one another. */
function physicalOf(ranges: readonly (PhysicalRange & { readonly offset?: number })[], byte: number): number {
  let at = 0
  for (const { start, lengthBytes, offset } of ranges) {
    const from = offset ?? at
    if (byte >= from && byte < from + lengthBytes) return start + byte - from
    at = from + lengthBytes
  }
  throw new Error(`no memory is behind byte ${byte}`)
}

/** For memfd and dax all bytes must be in the direct map, and have entries; for devmem none. */
async function lookAt(
  { host, expect, keep }: Stage,
  what: string,
  ranges: Readonly<Record<string, PhysicalRange[]>>,
): Promise<void> {
  // For a processor that runs a guest, QEMU would show the guest's tables, or none.
  await host.run('! pgrep qemu-system || pkill -STOP qemu-system')
  const mappings = kernelMappings(await host.monitor('info mem'), await host.monitor('info tlb'))
  await host.run('! pgrep qemu-system || pkill -CONT qemu-system')
  for (const [store, of] of Object.entries(ranges)) {
    const bytes = of.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
    const { direct, entries } = visibleBytes(mappings, of)
    keep(`${what}, ${store}`, { bytes, direct, entries })
    const isHidden = store === 'devmem'
    expect(`${what}, ${store}, bytes in the direct map`, direct, isHidden ? 0 : bytes)
    expect(`${what}, ${store}, has entries`, entries > 0, !isHidden)
  }
}

interface Figures {
  /** The memory that the kernel reports to map for itself, and that it has struct pages for. */
  readonly directBytes: number
  readonly describedBytes: number
  readonly ramBytes: number
}

/** A struct page is 64 bytes and describes 4 KiB. */
async function memoryFigures({ host }: Stage): Promise<Figures> {
  const sum = (words: string) => host.run(`${words} | awk '{ sum += $1 } END { printf "%.0f", sum }'`)
  const ram = `for each in /sys/firmware/memmap/*; do [ "$(cat $each/type)" != 'System RAM' ] ||
    echo $(($(cat $each/end) - $(cat $each/start) + 1)); done`
  return {
    directBytes: 1024 * Number(await sum("awk '/^DirectMap/ { print $2 }' /proc/meminfo")),
    describedBytes: 4096 * 64 * Number(await sum("awk '/^nr_memmap/ { print $2 }' /proc/vmstat")),
    ramBytes: Number(await sum(`{ ${ram}; }`)),
  }
}

/** Both sums must never include the reserved range, and must grow when a region of device-dax is used. */
function checkFigures(before: Figures, after: Figures): void {
  const carved = CARVED_MIB * MIB
  // A kernel maps and describes some more than its RAM: the rest of its last sections.
  const slack = 128 * MIB
  for (const figure of ['directBytes', 'describedBytes'] as const) {
    const said = `${figure}: ${JSON.stringify({ before, after })}`
    assert.ok(
      before[figure] <= before.ramBytes - 2 * carved + slack,
      `set-aside memory is there at boot. ${said}`,
    )
    assert.ok(after[figure] <= after.ramBytes - carved + slack, `reserved memory is there. ${said}`)
  }
  assert.ok(after.directBytes - before.directBytes >= GUEST_MIB * MIB, 'device-dax does not show in the sums')
}
