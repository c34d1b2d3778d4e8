/**
 * The end of a command: its exit status where its output could not be written, and the line in the journal
 * with the uid that ran it.
 */
import { endBySigpipe } from '../linux/end-by-sigpipe.ts'
import { loginUid, writeJournal } from '../linux/system-log.ts'
import { complain } from './print.ts'

/** What is known of a command once its arguments were parsed. */
export interface Began {
  /** Arguments for the journal (`journalWords`). undefined: it is no command for operators. */
  readonly words: string | undefined
  /** It changes something: it is not ended when no process reads its output. */
  readonly changes: boolean
  /** It may not return, or only after weeks: its beginning is logged as well. */
  readonly mayNotReturn: boolean
}

export class CommandEnd {
  #began: Began | undefined
  /** Why the first write failed that did: an errno's name. */
  #outputError: string | undefined
  readonly #watchesStreams: boolean

  /**
   * From now on a failed write throws no exception: its output is lost, and the rest of the command runs.
   * Must be called after all other exit handlers of this process are installed. `lendsStreams`: CommandModule
   * has it.
   */
  constructor(lendsStreams: boolean) {
    this.#watchesStreams = !lendsStreams
    process.on('exit', (status) => this.#end(status))
    if (lendsStreams) return
    process.stdout.on('error', (error) => {
      this.#outputError ??= codeOf(error)
    })
    // Where this output is lost, there is nothing left to report it to.
    process.stderr.on('error', () => {})
  }

  /** The arguments were parsed, and the command's action is about to begin. */
  begin(began: Began): void {
    this.#began = began
    if (began.mayNotReturn) this.#writeToJournal('begins', {})
  }

  #end(status: number): void {
    // The event of the last write is still to come.
    const lost = this.#watchesStreams ? (this.#outputError ?? codeOf(process.stdout.errored)) : undefined
    const changes = this.#began?.changes === true
    let ended = status
    if (lost !== undefined && !isReaderGone(lost)) {
      complain(`its output could not be written (${lost})`)
      ended = status === 0 ? 1 : status
      process.exitCode = ended
    }
    if (changes) this.#writeToJournal(`status ${ended}`, { GUESTMEMFS_STATUS: String(ended) })
    else if (lost !== undefined && isReaderGone(lost)) endBySigpipe()
  }

  #writeToJournal(result: string, fields: Readonly<Record<string, string>>): void {
    const { words, changes } = this.#began ?? {}
    if (words === undefined || !changes) return
    const login = loginUid()
    const uid = process.getuid?.() ?? 0
    const who = login === undefined ? `uid ${uid}, without a login` : `uid ${uid}, login uid ${login}`
    writeJournal(`${words}: ${result} (${who})`, {
      ...fields,
      ...(login !== undefined && { GUESTMEMFS_LOGIN_UID: String(login) }),
    })
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error ? String((error as NodeJS.ErrnoException).code ?? error.message) : undefined

/** A terminal that hung up answers EIO. */
const isReaderGone = (lost: string): boolean =>
  lost === 'EPIPE' || lost === 'ECONNRESET' || (lost === 'EIO' && process.stdout.isTTY)
