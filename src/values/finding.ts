/**
 * One thing that a check found: of this machine (doctor), of a live update that has not begun (preflight), of
 * a pool's image (fsck). All findings of a check are shown at once. Commands print them in words of their
 * own, which scripts rely on.
 */

export interface Finding {
  /**
   * 'error': it does not work, or must not begin. 'warn': it works with a disadvantage. 'ok': there is
   * nothing to do.
   */
  readonly severity: 'ok' | 'warn' | 'error'
  /** What it was found in or about: short and stable, operators and scripts search for it. */
  readonly subject: string
  /** One line. */
  readonly message: string
  /** What to do about it, one line, where `message` does not name it. */
  readonly advice?: string
}

export const ok = (subject: string, message: string): Finding => ({ severity: 'ok', subject, message })

export const warn = (subject: string, message: string, advice?: string): Finding =>
  withAdvice({ severity: 'warn', subject, message }, advice)

export const fail = (subject: string, message: string, advice?: string): Finding =>
  withAdvice({ severity: 'error', subject, message }, advice)

export function hasError(findings: readonly Finding[]): boolean {
  return findings.some(({ severity }) => severity === 'error')
}

function withAdvice(finding: Finding, advice: string | undefined): Finding {
  return advice === undefined ? finding : { ...finding, advice }
}
