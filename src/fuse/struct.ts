/**
 * A C struct as a table of fields in wire order, which gives size, offsets, decoding and encoding. The
 * structs themselves are in kernel-structs.ts. Everything is little-endian: the FUSE protocol uses the
 * machine's order, and x86-64 and arm64 Linux are little-endian.
 */
import { BrokenInvariantError } from '../values/errors.ts'
import type { NodeId } from '../values/ids.ts'
import { signedQuantity, unsignedQuantity, upperHalf } from '../values/narrow.ts'

/**
 * `u64` and `nodeid` are identities and stay bigint; `quantity` (unsigned) and `s64` are amounts, numbers
 * that saturate (values/narrow.ts). Pads are skipped when decoding and zeroed when encoding.
 */
export type FieldType =
  | 'u16'
  | 'u32'
  | 's32'
  | 'u64'
  | 'nodeid'
  | 'quantity'
  | 's64'
  | 'pad16'
  | 'pad32'
  | 'pad64'

export type Fields = { readonly [name: string]: FieldType }

type Pad = 'pad16' | 'pad32' | 'pad64'
type Value<T extends FieldType> = T extends 'nodeid' ? NodeId : T extends 'u64' ? bigint : number

/** What a struct's fields decode to. */
export type Values<F extends Fields> = {
  -readonly [K in keyof F as F[K] extends Pad ? never : K]: Value<F[K]>
}

export type ValuesOf<L> = L extends Layout<infer F> ? Values<F> : never

const SIZES: { readonly [T in FieldType]: number } = {
  u16: 2,
  pad16: 2,
  u32: 4,
  s32: 4,
  pad32: 4,
  u64: 8,
  nodeid: 8,
  quantity: 8,
  s64: 8,
  pad64: 8,
}

export class Layout<F extends Fields> {
  readonly sizeBytes: number
  /** Where each field begins. */
  readonly at: { readonly [K in keyof F]: number }
  readonly #fields: readonly { readonly name: string; readonly type: FieldType; readonly at: number }[]

  constructor(fields: F) {
    let size = 0
    this.#fields = Object.entries(fields).map(([name, type]) => {
      const at = size
      // C would insert padding here; the tables state all of it, so this is a mistake in the table.
      if (at % SIZES[type] !== 0)
        throw new BrokenInvariantError(`field ${name} (${type}) is not aligned at ${at}`)
      size += SIZES[type]
      return { name, type, at }
    })
    this.sizeBytes = size
    this.at = Object.fromEntries(this.#fields.map(({ name, at }) => [name, at])) as { [K in keyof F]: number }
  }

  /** The caller has checked that `sizeBytes` bytes are there. */
  decode(view: DataView, offset: number): Values<F> {
    const values: Record<string, number | bigint> = {}
    this.decodeInto(values, view, offset)
    return values as Values<F>
  }

  /** Adds the fields to an object, which spares a copy where a request is put together. */
  decodeInto(values: Record<string, unknown>, view: DataView, offset: number): void {
    for (const { name, type: kind, at } of this.#fields) {
      const from = offset + at
      switch (kind) {
        case 'u16':
          values[name] = view.getUint16(from, true)
          break
        case 'u32':
          values[name] = view.getUint32(from, true)
          break
        case 's32':
          values[name] = view.getInt32(from, true)
          break
        case 'u64':
        case 'nodeid':
          values[name] = view.getBigUint64(from, true)
          break
        case 'quantity':
          values[name] = unsignedQuantity(view.getUint32(from, true), view.getUint32(from + 4, true))
          break
        case 's64':
          values[name] = signedQuantity(view.getUint32(from, true), view.getInt32(from + 4, true))
          break
        case 'pad16':
        case 'pad32':
        case 'pad64':
          break
        default: {
          kind satisfies never
        }
      }
    }
  }

  /** Writes every byte of the struct. Numbers are cut to their field as C would. */
  encode(view: DataView, offset: number, values: Values<F>): void {
    const source = values as Record<string, number | bigint>
    for (const { name, type: kind, at } of this.#fields) {
      const to = offset + at
      switch (kind) {
        case 'u16':
          view.setUint16(to, source[name] as number, true)
          break
        case 'u32':
        case 's32':
          view.setUint32(to, source[name] as number, true)
          break
        case 'u64':
        case 'nodeid':
          view.setBigUint64(to, source[name] as bigint, true)
          break
        case 'quantity':
        case 's64':
          setQuantity(view, to, source[name] as number)
          break
        case 'pad16':
          view.setUint16(to, 0, true)
          break
        case 'pad32':
          view.setUint32(to, 0, true)
          break
        case 'pad64':
          setQuantity(view, to, 0)
          break
        default: {
          kind satisfies never
        }
      }
    }
  }
}

/** A 64-bit amount as its two halves; negative ones in two's complement. */
export function setQuantity(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true)
  view.setInt32(at + 4, upperHalf(value), true)
}
