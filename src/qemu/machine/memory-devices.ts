/**
 * Memory devices of a machine (`query-memory-devices`, qapi/machine.json): DIMMs and NVDIMMs, which are on no
 * bus and so in no device tree, and the memory of virtio-mem and virtio-pmem.
 */
import * as v from 'valibot'
import type { Ask } from './ask.ts'

const MemoryDeviceSchema = v.object({
  type: v.string(),
  data: v.looseObject({
    id: v.optional(v.string()),
    memdev: v.optional(v.string()),
    addr: v.optional(v.number()),
    memaddr: v.optional(v.number()),
    slot: v.optional(v.number()),
  }),
})
export type MemoryDevice = v.InferOutput<typeof MemoryDeviceSchema>

/**
 * How much of a virtio-mem the guest has, and is requested to have: both are in the stream
 * (hw/virtio/virtio-mem.c). The others follow from how it was added.
 */
const NOT_COMPARED = ['id', 'size', 'requested-size', 'hotplugged', 'hotpluggable']

/** Errors: as of `Ask`. */
export const readMemoryDevices = (ask: Ask): Promise<MemoryDevice[]> =>
  ask(v.array(MemoryDeviceSchema), 'query-memory-devices')

/** Its id, or that of its memory. */
export const idOfMemory = ({ data: { id, memdev = '' } }: MemoryDevice): string => id ?? memdevOf({ memdev })

/** The id of its memory backend, of which QEMU reports the path. */
export const memdevOf = ({ memdev = '' }: { readonly memdev?: string | undefined }): string =>
  memdev.slice(memdev.lastIndexOf('/') + 1)

export function memoryItem(device: MemoryDevice): string {
  const compared = Object.entries(device.data).filter(([key]) => !NOT_COMPARED.includes(key))
  const words = compared.map(
    ([key, value]) => `${key} ${typeof value === 'object' ? JSON.stringify(value) : value}`,
  )
  return `${idOfMemory(device)}: ${[device.type, ...words.toSorted()].join(', ')}`
}
