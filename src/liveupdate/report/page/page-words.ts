/** Dates and outcomes in the words of the page. Any number has words: a report may be damaged. */
import { formatInstant } from '../../../values/instant.ts'
import type { Phase, VmOutcome } from '../timeline.ts'
import { html, type Markup } from './html.ts'

/** `ms`: since the epoch. */
export function dateWords(ms: number): Markup {
  const date = new Date(ms)
  if (Number.isNaN(date.getTime())) return html`at an unknown time`
  return html`<time datetime="${date.toISOString()}">${formatInstant(ms)}</time>`
}

interface OutcomeWords {
  /** Before the word, so that colour is not all that tells outcomes apart. */
  readonly mark: string
  readonly meaning: string
}

export const OUTCOMES: Readonly<Record<VmOutcome | 'left', OutcomeWords>> = {
  stranded: { mark: '✗', meaning: 'does not run: it is stopped in a QEMU' },
  saved: { mark: '✗', meaning: 'does not run: its RAM and its state file are kept' },
  left: { mark: '✗', meaning: 'ended with the former kernel, and nothing of it was saved' },
  'rolled-back': { mark: '!', meaning: 'runs as before, in the QEMU that it had or one of the same binary' },
  refused: { mark: '!', meaning: 'runs as before: the preflight refused it, and nothing was done to it' },
  updated: { mark: '✓', meaning: 'was updated, and runs' },
  resumed: { mark: '✓', meaning: 'was saved or stopped, and runs' },
}

/** Until when each phase lasts. */
export const PHASE_ENDS: Readonly<Record<Phase, string>> = {
  save: 'its device state is written and on record',
  quit: 'its old QEMU has ended',
  freeze: 'all guests are saved, pools frozen, disks written',
  preserve: 'files are handed over, disks written',
  jump: "the next kernel's clock runs",
  boot: 'mounting begins',
  mount: 'the pool serves',
  wait: 'its resumption begins',
  launch: "its next QEMU's process is there",
  start: 'that QEMU answers',
  load: 'its device state is loaded',
  continue: 'its virtual CPUs run',
}

export const KINDS = {
  kernel: 'kernel',
  'vmm-only': 'QEMU alone',
  resume: 'resumption of saved guests',
} as const

/** `3 guests`, `1 guest`. */
export const countWords = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`
