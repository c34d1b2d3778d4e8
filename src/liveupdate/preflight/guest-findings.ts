/** The findings of a preflight about one guest. Pure. */
import type { Finding } from '../../values/finding.ts'
import { subjectOf } from './check-guests.ts'

interface Named {
  readonly name: string
}

/** `refusals`: errors of a preflight. Those about this guest alone. */
export const problemsOf = (guest: Named, refusals: readonly Finding[]): readonly Finding[] =>
  refusals.filter(({ subject }) => subject === subjectOf(guest))

/** The same as one line, without the guest's name; empty: there are none. */
export const reasonsOf = (guest: Named, refusals: readonly Finding[]): string =>
  problemsOf(guest, refusals)
    .map(({ subject, message }) =>
      message.startsWith(`${subject}: `) ? message.slice(subject.length + 2) : message,
    )
    .join('; ')
