/**
 * The words in which each command prints its findings, in JSON and on a terminal. Scripts rely on them: they
 * stay as they are.
 */
import type { Finding } from '../values/finding.ts'

type Words = Readonly<Record<Finding['severity'], string>>

const DOCTOR: Words = { ok: 'ok', warn: 'warn', error: 'missing' }
const FSCK: Words = { ok: 'note', warn: 'warning', error: 'error' }
const PREFLIGHT: Words = { ok: 'ok', warn: 'warn', error: 'refuse' }

/** Of `doctor`. `advice` is undefined where there is nothing to do. */
export function doctorWords({ severity, subject, message, advice }: Finding) {
  return { name: subject, state: DOCTOR[severity], detail: message, advice }
}

/** Of `fsck`. */
export function fsckWords({ severity, subject, message }: Finding) {
  return { severity: FSCK[severity], where: subject, message }
}

/** Of `live-update --dry-run` and `--rehearse`. */
export function preflightWords({ severity, subject, message }: Finding) {
  return { severity: PREFLIGHT[severity], subject, message }
}
