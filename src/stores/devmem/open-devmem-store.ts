/**
 * Opens the devmem store: a reserved range with its metadata area mapped. Writes no byte of the range, which
 * the caller must have probed.
 */
import { close } from '../../linux/descriptors.ts'
import { kernelLockdown } from '../../linux/lockdown.ts'
import { mapShared } from '../../linux/memory.ts'
import { MEMORY_PATH, mapMemory, openMemory } from '../../linux/memory-device.ts'
import { type RawMapping, unmapRaw } from '../../linux/raw-memory.ts'
import { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import { GIB } from '../../values/units.ts'
import { CarveOutFailures } from '../carve-out/carve-out-failures.ts'
import { CarveOutStore } from '../carve-out/carve-out-store.ts'
import { DataChunks } from '../carve-out/data-chunks.ts'
import { foreignBytes, holdsImage } from '../carve-out/image-probe.ts'
import { WorkerClient } from '../carve-out/worker-client.ts'
import type { Content, ImageProbe } from '../driver.ts'
import { DevmemGuestRam } from './devmem-guest-ram.ts'
import type { DevmemTarget } from './devmem-worker.ts'
import type { FoundRange } from './range.ts'

/** The process reads so much at a time: for each GiB that it maps the kernel takes 2 MiB of page tables. */
const SAMPLE_BYTES = GIB

/**
 * What the range holds, before a pool is made or opened in it. Errors: UsageError where the kernel does not
 * let this process map it.
 */
export function probeRange({ layout }: FoundRange, probe: ImageProbe, memoryPath = MEMORY_PATH): Content {
  const look = <T>(start: number, lengthBytes: number, at: (mapping: RawMapping) => T): T => {
    const mapping = mapMemory(memoryPath, { start, lengthBytes }, { writable: false })
    if (mapping instanceof Errno) throw new UsageError(whyNot(mapping, memoryPath))
    try {
      return at(mapping)
    } finally {
      unmapRaw(mapping)
    }
  }
  const { start, lengthBytes } = layout.metadata
  if (look(start, lengthBytes, (mapping) => holdsImage(mapping, probe))) return { content: 'ours' }
  const end = start + lengthBytes
  for (let at = layout.range.start; at < end; at += SAMPLE_BYTES) {
    const why = look(at, Math.min(SAMPLE_BYTES, end - at), (mapping) => foreignBytes(mapping, at, probe))
    if (why !== undefined) return { content: 'foreign', why }
  }
  return { content: 'zero' }
}

const WORKER = new URL(`./devmem-worker${import.meta.url.slice(-3)}`, import.meta.url)

/** The caller holds the range's lock. Errors: UsageError, nothing changed. */
export function openDevmemStore(
  { layout, nodes }: FoundRange,
  memoryPath = MEMORY_PATH,
  proc = '/proc',
): CarveOutStore<DevmemGuestRam> {
  const fd = openMemory(memoryPath, { writable: true })
  if (fd instanceof Errno) throw new UsageError(whyNot(fd, memoryPath))
  const metadata = mapShared(fd, layout.metadata.lengthBytes, layout.metadata.start)
  close(fd)
  const target: DevmemTarget = { memoryPath, proc }
  const worker = new WorkerClient(WORKER, target)
  const chunks = new DataChunks(layout, worker)
  const ram = new DevmemGuestRam({ layout, worker, chunks, memoryPath })
  return new CarveOutStore({
    kind: 'devmem',
    layout,
    nodes,
    contiguous: true,
    // /dev/mem maps 4 KiB at a time, whatever the alignment.
    frames: undefined,
    metadata,
    worker,
    chunks,
    ram,
    failures: new CarveOutFailures(layout, chunks),
  })
}

/** One line for what the kernel answered to opening /dev/mem or mapping a range of it. */
export function whyNot(errno: Errno, memoryPath: string, lockdown = kernelLockdown()): string {
  if (errno.name === 'ENOENT')
    return `there is no ${memoryPath}: this kernel has no CONFIG_DEVMEM, store=dax does not need it`
  if (errno.name === 'EACCES') return `${memoryPath} cannot be opened: run it with sudo`
  if (errno.name !== 'EPERM') return `${memoryPath} cannot be mapped: ${errno}`
  if (lockdown !== undefined && lockdown !== 'none')
    return `this kernel is locked down (${lockdown}) and keeps ${memoryPath} closed: store=dax works all the same`
  return `the kernel refuses ${memoryPath} for this range (no CAP_SYS_RAWIO, or CONFIG_STRICT_DEVMEM): run it as root, on a range that is reserved and that no driver has`
}
