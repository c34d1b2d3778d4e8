/** Owns what the doctor says about one thing of this machine. */
export interface Finding {
  /** Short and stable: people grep for it. */
  readonly name: string
  /** `missing` stops guestmemfs from working here; `warn` costs something; `ok` needs nothing. */
  readonly state: 'ok' | 'warn' | 'missing'
  /** What was found, in one line. */
  readonly detail: string
  /** What to do about it, in one line. Absent when there is nothing to do. */
  readonly advice?: string
  /** What `--fix` can do after asking. */
  readonly fix?: Fix
}

export interface Fix {
  /** What is about to be changed, as a question without its question mark's "[Y/n]". */
  readonly question: string
  /** Does it. Throws `UsageError` when it cannot. */
  readonly apply: (say: (line: string) => void) => Promise<void> | void
}

export const ok = (name: string, detail: string): Finding => ({ name, state: 'ok', detail })
export const warn = (name: string, detail: string, advice: string, fix?: Fix): Finding =>
  fix ? { name, state: 'warn', detail, advice, fix } : { name, state: 'warn', detail, advice }
export const missing = (name: string, detail: string, advice: string, fix?: Fix): Finding =>
  fix ? { name, state: 'missing', detail, advice, fix } : { name, state: 'missing', detail, advice }
