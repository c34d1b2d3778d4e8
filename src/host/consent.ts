/**
 * The question to the operator before something on the machine is changed. Must not: change anything. Without
 * a terminal (a pipe, CI) no operator can answer: then the command itself is the consent.
 */
import { createInterface } from 'node:readline/promises'

export interface Consent {
  /** `--yes`: do not ask. */
  readonly yes: boolean
}

/** True when the operator agrees to `question`, to which "[Y/n]" is added. */
export async function askConsent(question: string, { yes }: Consent): Promise<boolean> {
  if (yes || !process.stdin.isTTY || !process.stderr.isTTY) return true
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await lines.question(`${question} [Y/n] `)
    return /^(|y|yes)$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}
