/** Makes one input from another: it changes bytes, or values of JSON. Pure but for its random numbers. */
import type { Random } from '../../src/fs/image/testing/random.ts'

/** Longer ones find no more, and take longer. */
export const MAX_INPUT_BYTES = 96 * 1024

const EDGES = [0, 1, 2, 7, 8, 16, 63, 64, 127, 128, 255, 256, 4095, 4096, 32767, 65535, 65536]
const LARGE = [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53]

export interface MutateParts {
  readonly random: Random
  readonly dictionary: readonly Uint8Array[]
  /** Another input, which parts may be taken from. */
  readonly other: Uint8Array
  readonly isJson: boolean
}

/** One to four changes, one after the other. */
export function mutate(input: Uint8Array, parts: MutateParts): Uint8Array {
  let bytes = input
  for (let left = 1 + parts.random.below(4); left > 0; left--) {
    const isValue = parts.isJson && parts.random.below(3) > 0
    bytes = (isValue ? changeValue(bytes, parts.random) : undefined) ?? changeBytes(bytes, parts)
  }
  return bytes.subarray(0, MAX_INPUT_BYTES)
}

type Change = (bytes: Uint8Array, parts: MutateParts) => Uint8Array

const changeBytes: Change = (bytes, parts) =>
  parts.random.pick(bytes.length === 0 ? [insertBytes, insertWord] : CHANGES)(bytes, parts)

const flipBit: Change = (bytes, { random }) => {
  const copy = Uint8Array.from(bytes)
  const at = random.below(copy.length)
  copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8))
  return copy
}

const setByte: Change = (bytes, { random }) => bytes.with(random.below(bytes.length), random.below(256))

/** Sets a number of 2, 4 or 8 bytes to a limit of readers. */
const setNumber: Change = (bytes, { random }) => {
  const width = random.pick([2, 4, 8] as const)
  if (bytes.length < width) return bytes
  const copy = Buffer.from(bytes)
  const at = random.below(copy.length - width + 1)
  const value =
    BigInt(random.pick(random.below(3) === 0 ? LARGE : EDGES)) * (random.below(4) === 0 ? -1n : 1n)
  if (width === 8) copy.writeBigUInt64LE(BigInt.asUintN(64, value), at)
  else copy.writeUIntLE(Number(BigInt.asUintN(8 * width, value)), at, width)
  return copy
}

const cut: Change = (bytes, { random }) => {
  const from = random.below(bytes.length)
  const count = 1 + random.below(Math.min(64, bytes.length - from))
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + count)])
}

const cutEnd: Change = (bytes, { random }) => bytes.slice(0, random.below(bytes.length))

const insert = (bytes: Uint8Array, at: number, more: Uint8Array): Uint8Array =>
  Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])

const insertBytes: Change = (bytes, { random }) =>
  insert(bytes, random.below(bytes.length + 1), random.bytes(1 + random.below(16)))

const insertWord: Change = (bytes, parts) => {
  const { random, dictionary } = parts
  if (dictionary.length === 0) return insertBytes(bytes, parts)
  return insert(bytes, random.below(bytes.length + 1), random.pick(dictionary))
}

const overwriteWord: Change = (bytes, parts) => {
  if (parts.dictionary.length === 0) return setByte(bytes, parts)
  const copy = Uint8Array.from(bytes)
  const word = parts.random.pick(parts.dictionary)
  const at = parts.random.below(copy.length)
  copy.set(word.subarray(0, copy.length - at), at)
  return copy
}

/** Repeats a part of it, perhaps many times. */
const repeat: Change = (bytes, { random }) => {
  const from = random.below(bytes.length)
  const part = bytes.subarray(from, from + 1 + random.below(64))
  const times = random.below(8) === 0 ? 64 : 1 + random.below(3)
  return insert(bytes, from, Buffer.concat(Array.from({ length: times }, () => part)))
}

const splice: Change = (bytes, { random, other }) =>
  Buffer.concat([
    bytes.subarray(0, random.below(bytes.length + 1)),
    other.subarray(random.below(other.length + 1)),
  ])

const takePart: Change = (bytes, { random, other }) => {
  const from = random.below(other.length + 1)
  const part = other.subarray(from, from + 1 + random.below(64))
  return insert(bytes, random.below(bytes.length + 1), part)
}

const CHANGES: readonly Change[] = [
  ...[flipBit, setByte, setNumber, setNumber, cut, cutEnd, insertBytes],
  ...[insertWord, overwriteWord, repeat, splice, takePart],
]

const VALUES: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 0.5, 1e308, -0, '', ' ', 'x'.repeat(5000), '\0', '../..', [], {}, [[]]],
  ...LARGE,
  ...EDGES,
]
const KEYS = ['__proto__', 'constructor', 'toString', 'length', '', 'format', 'id', 'kind']

/** The JSON value in `bytes` with one part replaced, removed or added; undefined: it is no JSON. */
function changeValue(bytes: Uint8Array, random: Random): Uint8Array | undefined {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return undefined
  }
  return Buffer.from(JSON.stringify(changePart(value, random, 0)))
}

function changePart(value: unknown, random: Random, depth: number): unknown {
  const isHere = typeof value !== 'object' || value === null || (depth > 0 && random.below(3) === 0)
  if (isHere) return random.pick(VALUES)
  if (Array.isArray(value)) {
    const at = random.below(value.length + 1)
    if (at === value.length) return [...value, random.pick(VALUES)]
    if (random.below(3) === 0) return value.toSpliced(at, random.below(2), value[random.below(value.length)])
    return value.with(at, changePart(value[at], random, depth + 1))
  }
  const entries = Object.entries(value)
  const at = random.below(entries.length + 1)
  const entry = entries[at]
  // Not an object literal: `__proto__` must be an ordinary key.
  if (entry === undefined) return Object.fromEntries([...entries, [random.pick(KEYS), random.pick(VALUES)]])
  if (random.below(4) === 0) return Object.fromEntries(entries.toSpliced(at, 1))
  return Object.fromEntries(entries.with(at, [entry[0], changePart(entry[1], random, depth + 1)]))
}
