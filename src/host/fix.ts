/** A repair of a finding, which `doctor --fix` makes; on a terminal it asks before. */
import type { Finding } from '../values/finding.ts'

export interface Fix {
  /** The change as a question; `askConsent` adds "[Y/n]". */
  readonly question: string
  /** Makes the change. Throws `UsageError` where that fails. */
  readonly apply: (report: (line: string) => void) => Promise<void> | void
}

export interface FixableFinding extends Finding {
  readonly fix?: Fix
}

export const fixable = (finding: Finding, fix: Fix): FixableFinding => ({ ...finding, fix })
