/**
 * The characters of the project's sources that have run in this thread: V8's own block coverage, read through
 * the inspector.
 */
import { type Profiler, Session } from 'node:inspector'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

const PROJECT = dirname(dirname(import.meta.dirname))
/** The program's sources, and those of valibot. */
const SOURCES = ['src/', 'node_modules/valibot/'].map((folder) => pathToFileURL(join(PROJECT, folder)).href)

export class Coverage {
  readonly #session = new Session()
  /**
   * A byte for each character, by function: code of an inner function that did not run does not count for the
   * outer one.
   */
  readonly #covered = new Map<string, Uint8Array>()
  #characters = 0

  constructor() {
    this.#session.connect()
    this.#post('Profiler.enable')
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  get characters(): number {
    return this.#characters
  }

  /** Whether code ran for the first time since the last call. It counts as seen only with `keep`. */
  look({ keep }: { keep: boolean }): boolean {
    const { result } = this.#post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType
    let isNew = false
    for (const { url, functions } of result) {
      if (!SOURCES.some((folder) => url.startsWith(folder))) continue
      for (const { ranges } of functions) if (this.#merge(url, ranges, keep)) isNew = true
      if (isNew && !keep) return true
    }
    return isNew
  }

  /** `ranges`: of one function, each inside one before it. */
  #merge(url: string, ranges: readonly Profiler.CoverageRange[], keep: boolean): boolean {
    const outer = ranges[0]
    // A module is one function, which ran at its import.
    if (outer === undefined || outer.count === 0 || outer.startOffset === 0) return false
    const ran = new Uint8Array(outer.endOffset - outer.startOffset)
    for (const { startOffset, endOffset, count } of ranges)
      ran.fill(count > 0 ? 1 : 0, startOffset - outer.startOffset, endOffset - outer.startOffset)
    const key = `${url}:${outer.startOffset}-${outer.endOffset}`
    const covered = this.#covered.get(key) ?? new Uint8Array(ran.length)
    let fresh = 0
    for (const [index, did] of ran.entries()) {
      if (did === 0 || covered[index] === 1) continue
      fresh++
      if (keep) covered[index] = 1
    }
    if (fresh > 0 && keep) this.#covered.set(key, covered)
    if (keep) this.#characters += fresh
    return fresh > 0
  }

  #post(method: string, parameters?: object): unknown {
    let answer: unknown
    // In this thread the answer comes before the call returns.
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw new Error(`${method}: ${error.message}`)
      answer = result
    })
    return answer
  }
}
