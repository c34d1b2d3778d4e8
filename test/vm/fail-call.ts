/**
 * Imported into a command of guestmemfs (NODE_OPTIONS=--import), it makes calls of the C library fail in
 * `live-update`, without calling. FAIL_CALLS has a rule a line, `FUNCTION WORD NTH ERRNO`: of the calls of
 * FUNCTION that have WORD among their arguments the NTH fails with ERRNO, a number; NTH 0: each of them.
 * Other processes that inherit the variables are not affected.
 */
import { createRequire } from 'node:module'
import type Koffi from 'koffi'
import { type Call, wrapCalls } from '../mount/wrap-calls.ts'

class Rule {
  readonly #function: string
  readonly #word: string
  readonly #nth: number
  readonly errno: number
  #seen = 0

  constructor(line: string) {
    const [name = '', word = '', nth, errno] = line.split(' ')
    this.#function = name
    this.#word = word
    this.#nth = Number(nth)
    this.errno = Number(errno)
  }

  isFor(name: string): boolean {
    return name === this.#function
  }

  /** Counts the call. */
  fails(values: readonly unknown[]): boolean {
    if (!values.some((value) => String(value) === this.#word)) return false
    this.#seen++
    return this.#nth === 0 || this.#seen === this.#nth
  }
}

if (process.argv[2] === 'live-update') {
  const rules = (process.env.FAIL_CALLS ?? '')
    .trim()
    .split('\n')
    .map((line) => new Rule(line))
  // The command's own koffi, as its `loadKoffi` finds it.
  const native = `@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`
  const koffi = createRequire(String(process.argv[1]))(native) as typeof Koffi
  const failing =
    (call: Call, theirs: readonly Rule[]): Call =>
    (...values) => {
      const rule = theirs.find((each) => each.fails(values))
      if (rule === undefined) return call(...values)
      koffi.errno(rule.errno)
      return -1
    }
  wrapCalls(koffi, (name, call) => {
    const theirs = rules.filter((rule) => rule.isFor(name))
    return theirs.length === 0 ? call : failing(call, theirs)
  })
}
