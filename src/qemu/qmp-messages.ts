/**
 * The bytes read from a QMP socket, split into messages by kind. The peer runs as the guest's user and is not
 * trusted: size and shape are checked before anything is used. Source: QEMU `docs/interop/qmp-spec.rst`.
 */
import * as v from 'valibot'
import { CorruptBytesError } from '../values/errors.ts'
import { MIB } from '../values/units.ts'
import { VersionSchema } from './qemu-version.ts'

/** The device tree of a large machine is some hundred kilobytes; everything else is small. */
const MAX_MESSAGE_BYTES = 4 * MIB

const GreetingSchema = v.object({ QMP: v.object({ version: VersionSchema }) })
const EventSchema = v.object({
  event: v.string(),
  data: v.optional(v.record(v.string(), v.unknown())),
  timestamp: v.object({ seconds: v.number(), microseconds: v.number() }),
})
const ReturnSchema = v.object({ return: v.unknown(), id: v.number() })
const ErrorSchema = v.object({
  error: v.object({ class: v.string(), desc: v.string() }),
  id: v.optional(v.number()),
})

export type QmpMessage =
  | { readonly kind: 'greeting'; readonly greeting: v.InferOutput<typeof GreetingSchema> }
  | { readonly kind: 'event'; readonly event: QmpEvent }
  | { readonly kind: 'return'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number | undefined; readonly description: string }

export interface QmpEvent {
  readonly name: string
  readonly data: Readonly<Record<string, unknown>>
  /** QEMU's time of the event, in milliseconds since the epoch (with a fraction). */
  readonly atMs: number
}

/** Collects bytes until a line is whole. One per connection. */
export class QmpReader {
  readonly #maxBytes: number
  #pending = ''

  /** `maxBytes`: of one message. The human monitor's answers may be larger than any of QMP's own. */
  constructor(maxBytes = MAX_MESSAGE_BYTES) {
    this.#maxBytes = maxBytes
  }

  /**
   * The messages that `chunk` completes. Throws CorruptBytesError: not QMP, or a message beyond any that QEMU
   * sends.
   */
  read(chunk: string): QmpMessage[] {
    const lines = (this.#pending + chunk).split('\n')
    this.#pending = lines.pop() as string
    if (this.#pending.length > this.#maxBytes) throw new CorruptBytesError('a QMP message without end')
    return lines.filter((line) => line.trim() !== '').map((line) => parseMessage(line, this.#maxBytes))
  }
}

function parseMessage(line: string, maxBytes: number): QmpMessage {
  if (line.length > maxBytes) throw new CorruptBytesError('a QMP message of impossible length')
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new CorruptBytesError(`not a QMP message: ${line.slice(0, 80)}`, { cause })
  }
  if (v.is(ReturnSchema, value)) return { kind: 'return', id: value.id, value: value.return }
  if (v.is(ErrorSchema, value)) return { kind: 'error', id: value.id, description: value.error.desc }
  if (v.is(GreetingSchema, value)) return { kind: 'greeting', greeting: value }
  if (v.is(EventSchema, value)) {
    const { seconds, microseconds } = value.timestamp
    const atMs = seconds * 1000 + microseconds / 1000
    return { kind: 'event', event: { name: value.event, data: value.data ?? {}, atMs } }
  }
  throw new CorruptBytesError(`not a QMP message: ${line.slice(0, 80)}`)
}
