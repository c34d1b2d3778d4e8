/** Owns what a preflight says: one line for each thing, all of them at once, before anything is changed. */

export interface PreflightFinding {
  /** 'refuse': the update does not begin. 'warn': it does, and a person should know this first. */
  readonly severity: 'refuse' | 'warn'
  /** One line that says what to do. */
  readonly message: string
}

export const refuse = (message: string): PreflightFinding => ({ severity: 'refuse', message })
export const warn = (message: string): PreflightFinding => ({ severity: 'warn', message })

export function isRefused(findings: readonly PreflightFinding[]): boolean {
  return findings.some(({ severity }) => severity === 'refuse')
}
