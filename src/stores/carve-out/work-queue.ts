/**
 * The queue of jobs in the worker, carried out one after the other, with zeroing between them. It may block,
 * and nothing else changes the region while a server runs. Must not: depend on files.
 *
 * A job waits for one slice of zeroing at most, unless its ranges lie across what is being zeroed, or across
 * those of a job before it: jobs about the same memory keep their order.
 */
import type { Holder } from '../../linux/holders.ts'
import { anyOverlap, type PhysicalRange } from '../../linux/memory-ranges.ts'
import { unmapRaw } from '../../linux/raw-memory.ts'
import { EBUSY, Errno } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { Job, JobOutcome, Ranges } from './jobs.ts'
import type { Instance, RangeMapper } from './range-mapper.ts'
import { type MappedChunk, RangeZeroing } from './range-zeroing.ts'

type Holders = ReadonlyMap<string, Holder>

export interface WorkQueueDeps {
  readonly mapper: RangeMapper
  /** Called once for each job that was added. */
  readonly finish: (job: Job, outcome: JobOutcome) => void
  /** Called after each slice of zeroing. */
  readonly progress: (doneBytes: number) => void
}

export class WorkQueue {
  readonly #mapper: RangeMapper
  readonly #deps: WorkQueueDeps
  readonly #chunks: MappedChunk[] = []
  #queue: Job[] = []
  #clear: { readonly job: Job; readonly zeroing: RangeZeroing } | undefined

  constructor(deps: WorkQueueDeps) {
    this.#mapper = deps.mapper
    this.#deps = deps
  }

  add(job: Job): void {
    if (job.kind === 'clear') this.#beginClear(job)
    else this.#queue.push(job)
  }

  /**
   * One job, or one slice of zeroing. Returns in how many milliseconds to be called again; undefined: there
   * is nothing to do.
   */
  step(): number | undefined {
    const job = this.#queue.find((each) => this.#isFree(each))
    if (job !== undefined) this.#carryOut(job)
    else if (this.#clear !== undefined) this.#zero(this.#clear)
    if (this.#queue.some((each) => this.#isFree(each))) return 0
    return this.#clear === undefined ? undefined : 0
  }

  #isFree(job: Job): boolean {
    const before = this.#queue.slice(0, this.#queue.indexOf(job)).map(({ ranges }) => ranges)
    return ![...before, this.#clear?.zeroing.busy ?? []].some((ranges) => anyOverlap(ranges, job.ranges))
  }

  #carryOut(job: Job): void {
    switch (job.kind) {
      case 'make':
        this.#end(job, this.#make(job))
        break
      case 'chunk':
        this.#end(job, this.#makeChunk(job.ranges))
        break
      case 'drop':
        this.#end(job, this.#drop(job.ranges))
        break
      case 'free':
        this.#freeAll()
        break
      case 'clear':
        throw new BrokenInvariantError('clear jobs do not wait in the queue')
      default:
        job satisfies never
    }
  }

  #end(job: Job, outcome: JobOutcome | Errno): void {
    this.#queue = this.#queue.filter((each) => each !== job)
    this.#deps.finish(job, outcome instanceof Errno ? { kind: 'failed', errnoCode: outcome.code } : outcome)
  }

  #make({ ranges, gigantic }: Job): JobOutcome | Errno {
    const instance = this.#ensure(ranges, gigantic)
    return instance instanceof Errno ? instance : { kind: 'made', number: instance.number }
  }

  #makeChunk(ranges: Ranges): JobOutcome | Errno {
    const [range] = ranges
    if (range === undefined || ranges.length !== 1)
      throw new BrokenInvariantError('a data chunk is one range')
    const known = this.#chunkOf(range)
    if (known !== undefined) return { kind: 'mapped', mapping: known.mapping }
    const instance = this.#ensure(ranges)
    if (instance instanceof Errno) return instance
    const mapping = this.#mapper.map(instance, { writable: true })
    if (mapping instanceof Errno) return mapping
    this.#chunks.push({ range, mapping, instance })
    return { kind: 'mapped', mapping }
  }

  /**
   * An instance that exists, also one of a former server, where it covers exactly these ranges; otherwise a
   * new one.
   */
  #ensure(ranges: Ranges, gigantic = false): Instance | Errno {
    return (
      this.#mapper.exactly(ranges) ??
      this.#destroyOverlapping(ranges) ??
      this.#mapper.make(ranges, { gigantic })
    )
  }

  #destroyOverlapping(ranges: Ranges): Errno | undefined {
    const instances = this.#mapper.overlapping(ranges)
    if (instances.length === 0) return undefined
    const outcome = this.#destroyUnheld(instances, this.#mapper.holders(instances))
    return outcome instanceof Errno ? outcome : outcome.kind === 'held' ? EBUSY : undefined
  }

  #chunkOf({ start, lengthBytes }: PhysicalRange): MappedChunk | undefined {
    return this.#chunks.find(({ range }) => range.start === start && range.lengthBytes === lengthBytes)
  }

  #drop(ranges: Ranges): JobOutcome | Errno {
    const chunk = ranges.length === 1 ? this.#chunkOf(ranges[0] as PhysicalRange) : undefined
    if (chunk === undefined) return { kind: 'done' }
    unmapRaw(chunk.mapping)
    this.#chunks.splice(this.#chunks.indexOf(chunk), 1)
    return this.#mapper.destroy(chunk.instance) ?? { kind: 'done' }
  }

  /**
   * A search for holders costs the same for one device and for many: one search serves all jobs that wait for
   * one.
   */
  #freeAll(): void {
    const jobs = this.#queue.filter((job) => job.kind === 'free' && this.#isFree(job))
    const instances = jobs.map(({ ranges }) => this.#mapper.overlapping(ranges))
    const holders = this.#mapper.holders(instances.flat())
    for (const [index, job] of jobs.entries())
      this.#end(job, this.#destroyUnheld(instances[index] ?? [], holders))
  }

  /** All of them or none: where a process holds one instance, none is destroyed. */
  #destroyUnheld(instances: readonly Instance[], holders: Holders): JobOutcome | Errno {
    for (const { name, ranges } of instances) {
      if (this.#chunks.some(({ range }) => anyOverlap([range], ranges))) return EBUSY
      const by = holders.get(name)
      if (by !== undefined) return { kind: 'held', by }
    }
    for (const instance of instances) {
      const failed = this.#mapper.destroy(instance)
      if (failed) return failed
    }
    return { kind: 'done' }
  }

  #beginClear(job: Job): void {
    const [range] = job.ranges
    if (range === undefined || job.ranges.length !== 1 || this.#clear !== undefined)
      throw new BrokenInvariantError('one range is zeroed at a time')
    const zeroing = new RangeZeroing(range, {
      mapper: this.#mapper,
      chunks: () => this.#chunks,
      destroyOverlapping: (each: PhysicalRange) => this.#destroyOverlapping([each]),
    })
    this.#clear = { job, zeroing }
  }

  /**
   * An extent that cannot be zeroed now (a process holds it, there is no memory for its pages) fails at once:
   * all dirty blocks behind it would wait as well.
   */
  #zero({ job, zeroing }: { readonly job: Job; readonly zeroing: RangeZeroing }): void {
    const failed = zeroing.zeroSlice()
    this.#deps.progress(zeroing.doneBytes)
    if (failed === undefined && !zeroing.isDone) return
    this.#clear = undefined
    this.#deps.finish(job, failed ? { kind: 'failed', errnoCode: failed.code } : { kind: 'done' })
  }
}
