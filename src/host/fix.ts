/** What `doctor --fix` can do about a finding, after asking. */
import type { Finding } from '../values/finding.ts'

export interface Fix {
  /** What is about to be changed, as a question; `askConsent` adds "[Y/n]". */
  readonly question: string
  /** Does it. Throws `UsageError` when it cannot. */
  readonly apply: (say: (line: string) => void) => Promise<void> | void
}

export interface FixableFinding extends Finding {
  readonly fix?: Fix
}

export const fixable = (finding: Finding, fix: Fix): FixableFinding => ({ ...finding, fix })
