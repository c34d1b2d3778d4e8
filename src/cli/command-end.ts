/**
 * The end of a command: its exit status where its words could not be written, and the line of the journal
 * that says who ran it.
 */
import { endBySigpipe } from '../linux/end-by-sigpipe.ts'
import { loginUid, writeJournal } from '../linux/system-log.ts'
import { complain } from './print.ts'

/** What is known of a command once its words were understood. */
export interface Began {
  /** Words as the journal may have them. undefined: it is none that a person types. */
  readonly words: string | undefined
  /** Its work counts more than its words: it is not ended for want of a reader. */
  readonly changes: boolean
  /** It may not come back, or not for weeks: its beginning is written as well. */
  readonly mayNotReturn: boolean
}

export class CommandEnd {
  #began: Began | undefined
  /** Why the first words that were lost were lost: an errno's name. */
  #lost: string | undefined
  readonly #watchesStreams: boolean

  /**
   * From now on no failed write is an exception: words are lost, and the rest of the command is done. Must be
   * called after all that has something to do at the exit of this process. `lendsStreams`: CommandModule has
   * it.
   */
  constructor(lendsStreams: boolean) {
    this.#watchesStreams = !lendsStreams
    process.on('exit', (status) => this.#end(status))
    if (lendsStreams) return
    process.stdout.on('error', (error) => {
      this.#lost ??= codeOf(error)
    })
    // Where these words are lost, nothing is left to say it with.
    process.stderr.on('error', () => {})
  }

  /** The words were understood, and the command's work is about to begin. */
  begin(began: Began): void {
    this.#began = began
    if (began.mayNotReturn) this.#tell('begins', {})
  }

  #end(status: number): void {
    // Of the last write the event is still to come.
    const lost = this.#watchesStreams ? (this.#lost ?? codeOf(process.stdout.errored)) : undefined
    const changes = this.#began?.changes === true
    let ended = status
    if (lost !== undefined && !isReaderGone(lost)) {
      complain(`its words could not be written to standard output (${lost})`)
      ended = status === 0 ? 1 : status
      process.exitCode = ended
    }
    if (changes) this.#tell(`status ${ended}`, { GUESTMEMFS_STATUS: String(ended) })
    else if (lost !== undefined && isReaderGone(lost)) endBySigpipe()
  }

  #tell(result: string, fields: Readonly<Record<string, string>>): void {
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
