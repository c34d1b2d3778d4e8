/**
 * The fuzzing thread: it keeps inputs that reach new code, and makes others from them. A thread of its own,
 * so that it can be ended when it hangs or takes too much memory.
 */
import { getHeapStatistics } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'
import { type Random, randomFrom } from '../../src/fs/image/testing/random.ts'
import { Coverage } from './coverage.ts'
import { mutate } from './mutate.ts'
import { type FromWorker, PRESENT_HEADER_BYTES, type WorkerOrders } from './worker-messages.ts'

/** Inputs between two checks of the coverage, which take as long as some inputs. */
const BATCH = 64
/** Memory that one input may take: many times the largest area of a target. */
const ALLOWED_BYTES = 96 * 2 ** 20
/** Runs spent on making a finding shorter. */
const SHORTENINGS = 400
const MOST_FINDINGS = 20

const orders = workerData as WorkerOrders
// V8 counts the blocks of functions that are compiled after coverage began.
const coverage = new Coverage()
const { findTarget } = await import('./targets.ts')
const target = findTarget(orders.target)
const random: Random = randomFrom(orders.seed)
const words = new Int32Array(orders.present, 0, 2)
const bytes = new Uint8Array(orders.present, PRESENT_HEADER_BYTES)
const tell = (message: FromWorker): void => parentPort?.postMessage(message)

/** The fault in reading `input`, or undefined. */
function judge(input: Uint8Array): string | undefined {
  bytes.set(input)
  words[1] = input.length
  Atomics.add(words, 0, 1)
  const before = getHeapStatistics()
  try {
    target.run(input)
  } catch (error) {
    return error instanceof Error ? (error.stack ?? String(error)) : String(error)
  }
  const after = getHeapStatistics()
  const taken =
    after.used_heap_size - before.used_heap_size + (after.external_memory - before.external_memory)
  return taken > ALLOWED_BYTES ? `took ${taken} bytes for an input of ${input.length}` : undefined
}

/** The place of the exception: the same fault twice is one finding. */
const placeOf = (why: string): string =>
  why.split('\n').find((line) => /^\s+at .*\/src\//.test(line)) ?? why.replace(/\d+/g, '0').slice(0, 200)

const known = new Set<string>()

function found(input: Uint8Array, why: string): void {
  const place = placeOf(why)
  if (known.has(place) || known.size >= MOST_FINDINGS) return
  known.add(place)
  tell({ kind: 'finding', input: shortened(input, place), why })
}

/** A shorter input with the same fault. */
function shortened(input: Uint8Array, place: string): Uint8Array {
  let shortest = input
  for (let left = SHORTENINGS; left > 0 && shortest.length > 1; left--) {
    const from = random.below(shortest.length)
    const until = from + 1 + random.below(Math.max(1, shortest.length >> 2))
    const shorter = Buffer.concat([shortest.subarray(0, from), shortest.subarray(until)])
    const why = judge(shorter)
    if (why !== undefined && placeOf(why) === place) shortest = shorter
  }
  return shortest
}

const corpus: Uint8Array[] = []

function begin(): void {
  for (const input of [...target.seeds(), ...orders.corpus]) {
    const why = judge(input)
    if (why !== undefined) found(input, why)
    if (coverage.look({ keep: true }) || corpus.length === 0) corpus.push(input)
  }
}

function runBatch(batch: readonly Uint8Array[]): void {
  for (const input of batch) {
    const why = judge(input)
    if (why !== undefined) found(input, why)
  }
  if (!coverage.look({ keep: false })) return
  for (const input of batch) {
    judge(input)
    if (!coverage.look({ keep: true })) continue
    corpus.push(input)
    tell({ kind: 'kept', input })
  }
}

/** The later ones were harder to find. */
const choose = (): Uint8Array =>
  random.below(2) === 0
    ? random.pick(corpus)
    : (corpus[corpus.length - 1 - random.below(Math.min(8, corpus.length))] as Uint8Array)

const dictionary = target.dictionary.map((word) => (typeof word === 'string' ? Buffer.from(word) : word))
const endMs = performance.now() + orders.seconds * 1000
begin()
while (performance.now() < endMs) {
  const batch = Array.from({ length: BATCH }, () =>
    mutate(choose(), { random, dictionary, other: random.pick(corpus), isJson: target.isJson }),
  )
  runBatch(batch)
}
tell({ kind: 'over', inputs: words[0] ?? 0, kept: corpus.length, characters: coverage.characters })
