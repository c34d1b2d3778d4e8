/** The first section of the page: guests that do not run, were not updated, or run with a remark. */
import type { HostUpdate } from '../host-updates.ts'
import type { VmOutcome, VmTimeline } from '../timeline.ts'
import { html, type Markup } from './html.ts'
import { countWords, OUTCOMES } from './page-words.ts'

type GuestOutcome = VmOutcome | 'left'

/** The most severe first. */
const BY_SEVERITY: readonly GuestOutcome[] = [
  'stranded',
  'saved',
  'left',
  'rolled-back',
  'refused',
  'updated',
  'resumed',
]

/** 0: the guest runs as intended. */
export const severityOf = (outcome: GuestOutcome): number =>
  outcome === 'updated' || outcome === 'resumed' ? 0 : BY_SEVERITY.length - BY_SEVERITY.indexOf(outcome)

interface Trouble {
  readonly name: string
  readonly outcome: GuestOutcome
  readonly reason: string | undefined
}

export function troubledGuests(update: HostUpdate): Markup {
  const troubles = troublesOf(update)
  if (update.guests.length + update.left.length === 0) return html``
  if (troubles.length === 0)
    return html`<section><h2>Guests with problems</h2><p>None: ${
      update.guests.length === 1 ? 'the one guest runs' : `all ${update.guests.length} guests run`
    } as intended.</p></section>`
  return html`<section><h2>Guests with problems</h2>
<p>${countWords(troubles.length, 'guest')} of ${update.guests.length + update.left.length}.</p>
<ul class="troubles">
${troubles.map(item)}</ul></section>`
}

function troublesOf({ guests, left }: HostUpdate): Trouble[] {
  const gone = left.map(
    (name): Trouble => ({ name, outcome: 'left', reason: 'the operator left it (--leave)' }),
  )
  const others = guests.filter(({ outcome, problem }) => severityOf(outcome) > 0 || problem !== null)
  return [...gone, ...others.map(troubleOf)].sort((a, b) => severityOf(b.outcome) - severityOf(a.outcome))
}

const troubleOf = ({ name, outcome, problem }: VmTimeline): Trouble => ({
  name,
  outcome,
  reason: problem ?? undefined,
})

const item = ({ name, outcome, reason }: Trouble): Markup =>
  html`<li><strong><bdi>${name}</bdi></strong> <span class="outcome ${outcome}">${OUTCOMES[outcome].mark} ${outcome}</span> ${OUTCOMES[outcome].meaning}. <span class="reason">Reason: ${reason ?? 'none was recorded'}</span></li>
`
