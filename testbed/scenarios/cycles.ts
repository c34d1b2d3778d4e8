/**
 * A chosen number of kexecs under the same guest: each pass of the guest compares every word of its RAM,
 * except the first two MiB, with its program, and the last two, with tables of its firmware.
 */
import { UsageError } from '../../src/values/errors.ts'
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { updateOnce } from '../scenario/live-update.ts'
import { expectClean } from '../scenario/pool.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'

const RAM_MIB = 64
const PATTERN_MIB = RAM_MIB - 4
const DEFAULT_KEXECS = 5
const MOST_KEXECS = 99
const MOUNT = 'mkdir -p /mnt/guestmemfs; guestmemfs mount guestmemfs /mnt/guestmemfs -o store=dax'
/** Twice the time of an update. */
const KEXEC_MS = 240_000

export interface Cycles {
  readonly kexecs: number
  /** Compared once a pass, in at least three passes after each kexec. */
  readonly words: number
}

/** `words`: how many kexecs. Throws `UsageError`. */
export function kexecsOf([text = String(DEFAULT_KEXECS)]: readonly string[]): number {
  const kexecs = Number(text)
  if (/^\d+$/.test(text) && kexecs >= 1 && kexecs <= MOST_KEXECS) return kexecs
  throw new UsageError(`${text}: how many kexecs? 1 to ${MOST_KEXECS}`)
}

export const cycles: Scenario<Cycles> = {
  about: 'kexecs in a row under one guest that compares every word of its RAM: `cycles 20`',
  memory: '4G',
  append: CARVE_OUT,
  timeoutMs: MOST_KEXECS * KEXEC_MS,
  files: () => ({ guest: buildTinyGuest({ mebibytes: PATTERN_MIB, pace: 10 }) }),
  async run(stage) {
    const { host, phase } = stage
    const kexecs = kexecsOf(stage.words)
    await phase('mount', () => host.run(MOUNT))
    const line = guestCommand({ name: 'guest', mebibytes: RAM_MIB })
    await host.start('run-guest', `exec guestmemfs run --name guest -- ${line}`)
    const guest = stage.guest('guest')
    await phase('guest runs', () => guest.waitForTicks(3))
    await host.atBoot(`${MOUNT}; guestmemfs resume`)
    for (let done = 1; done <= kexecs; done++)
      await phase(`kexec ${done}`, () => updateOnce(stage, [guest], `kexec ${done}`))
    await expectClean(stage)
    return { kexecs, words: (PATTERN_MIB * 2 ** 20) / 4 }
  },
}
