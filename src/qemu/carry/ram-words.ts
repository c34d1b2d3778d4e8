/** A memory backend that the operator added, as an argument of the next QEMU's command line. */
import * as v from 'valibot'
import { PMD_BYTES } from '../../values/units.ts'
import { type Ask, unlessRefused } from '../machine/ask.ts'
import type { MemoryDevice } from '../machine/memory-devices.ts'
import type { RamBlock } from '../machine/reading.ts'
import { CannotCarry } from './change.ts'

/** Properties of a memory backend that are no fact of its block, with QEMU's defaults. */
const USUAL: Readonly<Record<string, unknown>> = { merge: true, dump: true, reserve: true, policy: 'default' }
const OF_FILES: Readonly<Record<string, unknown>> = { pmem: false }
/** Any other value could lose memory, or would be another part of the file. */
const REQUIRED: Readonly<Record<string, unknown>> = {
  'discard-data': false,
  readonly: false,
  rom: 'off',
  offset: 0,
}

/**
 * As `-object` and `object-add` take it. `path`: of its RAM file; undefined: it is in none. `device`: that
 * has it. Errors: CannotCarry, QemuError.
 */
export async function ramWords(
  ask: Ask,
  { id, type, sizeBytes, isShared, path: memPath }: RamBlock,
  path: string | undefined,
  device: MemoryDevice | undefined,
): Promise<Record<string, unknown>> {
  const isFile = type === 'memory-backend-file'
  if (!isFile && type !== 'memory-backend-ram') throw new CannotCarry(`RAM '${id}' is a ${type}`)
  const read = (property: string): Promise<unknown> =>
    // A QEMU without such a property has no other value of it.
    unlessRefused(ask(v.unknown(), 'qom-get', { path: `/objects/${id}`, property }), undefined)
  const usual = Object.entries({ ...USUAL, ...(isFile && OF_FILES) })
  const others = await Promise.all(
    usual.map(async ([key, value]) => {
      const now = await read(key)
      return now === undefined || now === value ? [] : [[key, now] as const]
    }),
  )
  const nodes = v.safeParse(v.array(v.number()), await read('host-nodes'))
  if (isFile)
    for (const [key, value] of Object.entries(REQUIRED)) {
      const now = await read(key)
      if (now !== undefined && now !== value) throw new CannotCarry(`RAM '${id}' has ${key}=${String(now)}`)
    }
  return {
    'qom-type': type,
    id,
    size: sizeBytes,
    share: isShared,
    ...(isFile && { 'mem-path': path ?? memPath, align: await alignmentOf(read, sizeBytes, device) }),
    ...Object.fromEntries(others.flat()),
    ...(nodes.success && nodes.output.length > 0 && { 'host-nodes': nodes.output }),
  }
}

/** As `run` has it for RAM files (memory-backends.ts), where the device's address in the guest allows it. */
async function alignmentOf(
  read: (property: string) => Promise<unknown>,
  sizeBytes: number,
  device: MemoryDevice | undefined,
): Promise<number> {
  const { addr = 0, memaddr = 0 } = device?.data ?? {}
  const now = v.parse(v.optional(v.number(), 0), await read('align'))
  return sizeBytes < PMD_BYTES || (addr + memaddr) % PMD_BYTES !== 0 ? now : Math.max(now, PMD_BYTES)
}
