/**
 * The campaign `fuzz`: random bytes for every reader of bytes that other processes wrote. A reader must read
 * them or refuse as documented, in time, within its memory, and change nothing where it refuses. A round is
 * one target for a few seconds, in a thread of its own; the cache keeps inputs that reached new code for the
 * next round.
 */
import { Worker } from 'node:worker_threads'
import { type Campaign, type Round, round, type Stage } from '../campaign.ts'
import { corpusFolder, findingsFolder, keepInput, readInputs } from './corpus.ts'
import { MAX_INPUT_BYTES } from './mutate.ts'
import { TARGETS } from './targets.ts'
import { type FromWorker, PRESENT_HEADER_BYTES, type WorkerOrders } from './worker-messages.ts'

const ROUND_SECONDS = 20
/** A reader that takes longer for one input hangs. */
const HANG_MS = 10_000
const HEAP_MIB = 512

const WORKER = new URL('./worker.ts', import.meta.url)

async function fuzzTarget(
  name: string,
  seed: number,
  seconds: number,
  stage: Stage,
): Promise<Record<string, number>> {
  const present = new SharedArrayBuffer(PRESENT_HEADER_BYTES + MAX_INPUT_BYTES)
  const corpus = readInputs(corpusFolder(name))
  const orders: WorkerOrders = { target: name, seed, seconds, corpus, present }
  const worker = new Worker(WORKER, {
    workerData: orders,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
  })
  const findings: string[] = []
  const finding = (input: Uint8Array, why: string): void => {
    const path = keepInput(findingsFolder(name), input)
    stage.say(`${name}: ${why}\n  input: ${path}`)
    findings.push(`${why.split('\n')[0]} (${path})`)
  }
  const figures: Record<string, number> = {}
  const { promise, resolve } = Promise.withResolvers<void>()
  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'kept') keepInput(corpusFolder(name), message.input)
    else if (message.kind === 'finding') finding(message.input, message.why)
    else
      Object.assign(figures, {
        inputs: message.inputs,
        [`${name}KeptMost`]: message.kept,
        [`${name}CharactersMost`]: message.characters,
      })
  })
  worker.on('error', (error) => finding(presentInput(present), String(error)))
  worker.on('exit', () => resolve())
  const watch = watchFor(present, () => {
    finding(presentInput(present), `an input is read for more than ${HANG_MS} ms`)
    void worker.terminate()
  })
  await promise
  clearInterval(watch)
  if (findings.length > 0) throw new Error(findings.join(' · '))
  return figures
}

/** The input that the thread reads. */
function presentInput(present: SharedArrayBuffer): Uint8Array {
  const [, length = 0] = new Int32Array(present, 0, 2)
  return Uint8Array.from(new Uint8Array(present, PRESENT_HEADER_BYTES, length))
}

function watchFor(present: SharedArrayBuffer, hung: () => void): NodeJS.Timeout {
  let last = -1
  return setInterval(() => {
    const now = Atomics.load(new Int32Array(present, 0, 2), 0)
    if (now === last && now > 0) hung()
    last = now
  }, HANG_MS)
}

/** The targets in turn, those first that had the fewest rounds. */
function nextTarget(done: readonly Round[]): string {
  const rounds = (name: string): number => done.filter(({ key }) => key === name).length
  return Object.keys(TARGETS).reduce((least, name) => (rounds(name) < rounds(least) ? name : least))
}

export const fuzz: Campaign = {
  about: 'bytes at the readers of FUSE requests, QMP, images, manifests, records and xattrs, led by coverage',
  async run(stage) {
    const each = Math.max(2, Math.min(ROUND_SECONDS, stage.secondsLeft() / Object.keys(TARGETS).length))
    while (stage.secondsLeft() > 1) {
      const name = nextTarget(stage.done)
      const seed = stage.seed()
      const seconds = Math.min(each, stage.secondsLeft())
      const work = async (figures: Record<string, number>): Promise<void> =>
        void Object.assign(figures, await fuzzTarget(name, seed, seconds, stage))
      await round(stage, seed, work, name)
    }
  },
}
