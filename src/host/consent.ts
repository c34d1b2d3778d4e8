/**
 * Owns asking a person before something on their machine is changed. Must not: change anything. Without a
 * terminal (a pipe, CI) nobody can answer: the command that was typed is the consent.
 */
import { createInterface } from 'node:readline/promises'

export interface Consent {
  /** `--yes`: do not ask. */
  readonly yes: boolean
}

/** True when the person agrees to `question`, to which "[Y/n]" is added. */
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
