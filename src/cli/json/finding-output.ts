/**
 * A finding with --json: the same in every command that has findings. On a terminal each has its own words.
 */
import * as v from 'valibot'
import type { Finding } from '../../values/finding.ts'

export const FindingSchema = v.object({
  severity: v.pipe(
    v.picklist(['ok', 'warn', 'error']),
    v.description('error: it does not work, or must not begin. warn: it works with a disadvantage.'),
  ),
  subject: v.pipe(v.string(), v.description('What it was found in or about; short, and stable.')),
  message: v.pipe(v.string(), v.description('One line.')),
  advice: v.pipe(
    v.nullable(v.string()),
    v.description('What to do about it; null: nothing, or the message names it.'),
  ),
})

export const findingOutput = ({ severity, subject, message, advice }: Finding) => ({
  severity,
  subject,
  message,
  advice: advice ?? null,
})
