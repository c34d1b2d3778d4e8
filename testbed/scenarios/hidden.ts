/**
 * Owns the proof that guest memory is hidden, and that it costs no struct pages: the host's real page tables, read from outside while
 * guests run in each of the three stores. What is looked at is where the guest's own bytes are, the look is the same for
 * all three, and it must find two of them: a look that finds nothing proves nothing.
 */
import assert from 'node:assert/strict'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { kernelMappings, type PhysicalRange, visibleBytes } from '../machine/page-tables.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const MIB = 2 ** 20
const GUEST_MIB = 64
const CARVED_MIB = 512
/**
 * Half of what lies above 4 GiB, in two ways. `nopti`: or a processor in user mode would show no kernel at all. `no5lvl`: QEMU takes
 * minutes for five levels of tables. `nogbpages`: the kernel counts a page of 1 GiB once more each time it comes by (phys_pud_init(),
 * arch/x86/mm/init_64.c), so that its sums would say nothing.
 */
const APPEND = 'memmap=512M$4G memmap=512M%4608M-1+0xefffffff modprobe.blacklist=kmem nopti no5lvl nogbpages'
const SEEDS = { memfd: 3, dax: 5, devmem: 7 } as const
type StoreKind = keyof typeof SEEDS
const STORES = Object.keys(SEEDS) as StoreKind[]

const mount = (store: StoreKind) =>
  `mkdir -p /mnt/${store}; guestmemfs mount ${store} /mnt/${store} -o store=${store}${store === 'memfd' ? ',size=256M' : ''}`
/** `kvm=off`: a guest that knows of KVM has it map a page for the clock they share, and that one would be seen. */
const qemu = (
  store: StoreKind,
) => `qemu-system-x86_64 -machine q35 -accel kvm -cpu host,kvm=off -m ${GUEST_MIB}M \\
  -object memory-backend-file,id=pc.ram,size=${GUEST_MIB}M,mem-path=/mnt/${store}/ram,share=on,prealloc=off \\
  -nodefaults -display none -kernel /opt/testbed/files/${store} -serial stdio`

const PHYSICAL = 'node /opt/testbed/guestmemfs/testbed/programs/memory/physical.ts'

/** Where in its RAM the tiny guest's pattern begins, and how the word there is made (testbed/guests/tiny-guest.ts). */
const PATTERN_BYTE = 2 * MIB
const [ADDRESS_FACTOR, PASS_STEP] = [0x9e3779b1, 0x85ebca6b]
const PASSES = 100_000

export const hidden: Scenario = {
  about:
    "guest memory is not in the host's page tables and has no struct pages with devmem; with memfd and dax it is found there",
  memory: '4G',
  append: APPEND,
  files: () =>
    Object.fromEntries(STORES.map((store) => [store, buildTinyGuest({ mebibytes: 8, seed: SEEDS[store] })])),
  async run(stage) {
    const { host, next, phase, keep, guest } = stage
    const before = await phase('memory before', () => memoryFigures(stage))
    for (const store of STORES) await phase(`mount ${store}`, () => host.run(mount(store)))
    for (const store of STORES)
      await host.start(store, `exec guestmemfs run --name ${store} -- ${qemu(store)}`)
    await phase('guests run', () => Promise.all(STORES.map((store) => guest(store).waitForTicks(3))))
    const ranges = Object.fromEntries(
      await Promise.all(STORES.map(async (store) => [store, await rangesOf(stage, store)] as const)),
    )
    for (const store of STORES) await checkBytes(stage, store, ranges[store] as PhysicalRange[])
    keep('visible', await phase('look', () => lookAt(stage, ranges)))
    const after = await phase('memory after', () => memoryFigures(stage))
    keep('memory', { before, after })
    checkFigures(before, after)

    // The next kernel: nobody asked it to look away either, and the bytes are still there.
    await host.run(`kexec -s -l ${next.vmlinuz} --initrd=${next.initramfs} --reuse-cmdline`)
    await phase('kexec', () => host.jump('sync; kexec -e'))
    await phase('mount again', () => host.run(`${mount('dax')}; ${mount('devmem')}; readlink /mnt/dax/ram`))
    const kept = { dax: ranges.dax as PhysicalRange[], devmem: ranges.devmem as PhysicalRange[] }
    for (const store of ['dax', 'devmem'] as const) await checkBytes(stage, store, kept[store])
    keep('visible after a kexec', await phase('look again', () => lookAt(stage, kept)))
  },
}

/** Of a memfd the kernel tells page by page; the others lie where their pool says. */
async function rangesOf({ host }: Stage, store: StoreKind): Promise<PhysicalRange[]> {
  if (store === 'memfd') {
    const pid = `$(guestmemfs vms --json --mount /mnt/memfd | sed -E 's/.*"pid":([0-9]+).*/\\1/')`
    return JSON.parse(await host.run(`${PHYSICAL} ${pid} /mnt/memfd/ram`))
  }
  const value = async (path: string, name: string) =>
    JSON.parse(await host.run(`getfattr -h --only-values -n guestmemfs.${name} ${path}`))
  const { place } = await value(`/mnt/${store}`, 'pool')
  const extents: { poolOffsetBytes: number; lengthBytes: number }[] = await value(
    `/mnt/${store}/ram`,
    'extents',
  )
  return extents.map(({ poolOffsetBytes, lengthBytes }) => ({
    start: place.startByte + poolOffsetBytes,
    lengthBytes,
  }))
}

/** The machine itself has the guest's pattern at this place: it is the guest's memory that is looked for. */
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

/** Ranges of a memfd know how far from its beginning they lie; others follow one another. */
function physicalOf(ranges: readonly (PhysicalRange & { readonly offset?: number })[], byte: number): number {
  let at = 0
  for (const { start, lengthBytes, offset } of ranges) {
    const from = offset ?? at
    if (byte >= from && byte < from + lengthBytes) return start + byte - from
    at = from + lengthBytes
  }
  throw new Error(`no memory is behind byte ${byte}`)
}

async function lookAt({ host }: Stage, ranges: Readonly<Record<string, PhysicalRange[]>>): Promise<object> {
  // A processor that runs a guest just then would show the guest's tables, or none.
  await host.run('! pgrep qemu-system || pkill -STOP qemu-system')
  const mappings = kernelMappings(await host.monitor('info mem'), await host.monitor('info tlb'))
  await host.run('! pgrep qemu-system || pkill -CONT qemu-system')
  const seen = Object.entries(ranges).map(([store, of]) => {
    const bytes = of.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
    return [store, { bytes, ...visibleBytes(mappings, of) }] as const
  })
  for (const [store, { bytes, direct, entries }] of seen) {
    if (store === 'devmem')
      assert.deepEqual({ direct, entries }, { direct: 0, entries: 0 }, 'devmem is not hidden')
    else assert.ok(direct === bytes && entries > 0, `the look does not find ${store}: ${direct} of ${bytes}`)
  }
  return Object.fromEntries(seen)
}

interface Figures {
  /** What the kernel says it maps for itself, and what it has struct pages for. */
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

/** Both sums leave the reserved range out from boot to end, and grow when a region of device-dax is used. */
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
