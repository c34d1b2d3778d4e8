/**
 * The words in which commands print findings on a terminal. They stay as they are: operators know them. With
 * --json all findings have one shape (json/finding-output.ts).
 */
import type { Finding } from '../values/finding.ts'

type Words = Readonly<Record<Finding['severity'], string>>

const DOCTOR: Words = { ok: 'ok', warn: 'warn', error: 'missing' }
const FSCK: Words = { ok: 'note', warn: 'warning', error: 'error' }

/** Of `doctor`. `advice` is undefined where there is nothing to do. */
export function doctorWords({ severity, subject, message, advice }: Finding) {
  return { name: subject, state: DOCTOR[severity], detail: message, advice }
}

/** Of `fsck`. */
export function fsckWords({ severity, subject, message }: Finding) {
  return { severity: FSCK[severity], where: subject, message }
}
