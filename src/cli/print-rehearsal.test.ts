/** Tests of a rehearsal as text. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KernelPlan } from '../liveupdate/kernel/kernel-plan.ts'
import type { Rehearsal, RehearsedGuest } from '../liveupdate/rehearsal/rehearsal.ts'
import { fail, warn } from '../values/finding.ts'
import { rehearsalLines } from './print-rehearsal.ts'

const PLAN: KernelPlan = {
  via: 'kexec',
  kernel: '/boot/vmlinuz',
  initrd: null,
  before: '6.12',
  next: '7.3',
  commandLine: 'quiet',
  pools: [],
  vms: [],
  left: [],
}

const guest = (changes: Partial<RehearsedGuest>): RehearsedGuest => ({
  name: 'web',
  mountPoint: '/mnt/p',
  ramBytes: 2 ** 30,
  fate: 'carried',
  state: 'running',
  why: null,
  expected: null,
  ...changes,
})

const rehearsal = (changes: Partial<Rehearsal>): Rehearsal => ({
  kind: 'kernel',
  isReady: true,
  plan: PLAN,
  load: { outcome: 'unloaded', why: null },
  guests: [guest({})],
  findings: [],
  ...changes,
})

/** Rows with their columns one space apart. */
const textOf = (given: Rehearsal): string =>
  rehearsalLines(given)
    .map((line) =>
      typeof line === 'string' ? line : [line.header, ...line.rows].map((row) => row.join(' ')).join('\n'),
    )
    .join('\n')

test('each guest has a row: what becomes of it, and for how long it would be stopped', () => {
  const expected = { medianUs: 18_500_000, longestUs: 20_000_000, count: 3, of: 'guest' } as const
  const text = textOf(
    rehearsal({
      guests: [
        guest({ expected }),
        guest({ name: 'new', expected: { ...expected, of: 'host' } }),
        guest({ name: 'idle', state: 'paused' }),
        guest({ name: 'old', fate: 'left', why: 'it ends' }),
        guest({ name: 'process 7 (qemu)', ramBytes: null, fate: 'lost', why: 'nobody' }),
      ],
    }),
  )
  for (const line of [
    'kernel 6.12 → 7.3 (/boot/vmlinuz)',
    'load it was loaded, and unloaded again',
    'web 1G carried 18.50 s 20.00 s 3 of its own',
    "new 1G carried 18.50 s 20.00 s 3 of this host's guests",
    'idle 1G carried, paused - - -',
    'old 1G left - - -',
    'process 7 (qemu) - lost - - -',
    'old: it ends',
    'ready: the rehearsal passed',
  ])
    assert.ok(text.split('\n').includes(line), `${line}\nis not in\n${text}`)
  assert.doesNotMatch(text, /is not known/)
})

test('without reports it says that the blackout is not known', () => {
  const words = /^how long guests are stopped is not known: there is no report of such an update$/m
  assert.match(textOf(rehearsal({})), words)
  assert.doesNotMatch(textOf(rehearsal({ guests: [guest({ state: 'paused' })] })), words)
})

test('one that is not ready has every reason, and does not say that it passed', () => {
  const text = textOf(
    rehearsal({
      isReady: false,
      load: { outcome: 'refused', why: 'no signature' },
      guests: [guest({ quitFirst: 'one process alone can have -vnc' })],
      findings: [fail('kernel', 'no signature'), warn('kernel', 'no modules')],
    }),
  )
  assert.match(text, /^load it failed: no signature$/m)
  assert.match(text, /^refused: no signature\nwarning: no modules$/m)
  assert.match(text, /^web: its old QEMU would have to end first: one process alone can have -vnc$/m)
  assert.doesNotMatch(text, /ready:/)
  const waits = textOf(rehearsal({ plan: null, load: null, kind: 'vmm-only' }))
  assert.doesNotMatch(waits, /PLAN|load/)
})
