/** What `live-update --rehearse` prints with --json beside the plan and the findings. */
import * as v from 'valibot'
import { GUEST_FATES, type Rehearsal } from '../../liveupdate/rehearsal/rehearsal.ts'
import { LOAD_OUTCOMES } from '../../liveupdate/rehearsal/rehearse-load.ts'

const LoadSchema = v.object({
  outcome: v.pipe(
    v.picklist(LOAD_OUTCOMES),
    v.description(
      'unloaded: it was loaded, and is not loaded any more. left-out: it was not tried. left-loaded: it could not be unloaded.',
    ),
  ),
  why: v.pipe(v.nullable(v.string()), v.description('null: it was unloaded.')),
})

const BlackoutSchema = v.object({
  medianUs: v.number(),
  longestUs: v.number(),
  count: v.pipe(v.number(), v.description('How many blackouts these are of.')),
  of: v.pipe(
    v.picklist(['guest', 'host']),
    v.description("guest: its own. host: all guests', as it has had no update of this kind."),
  ),
})

const GuestSchema = v.object({
  name: v.string(),
  mountPoint: v.pipe(v.nullable(v.string()), v.description('null: it has no RAM in a pool.')),
  ramBytes: v.nullable(v.number()),
  fate: v.pipe(
    v.picklist(GUEST_FATES),
    v.description(
      'carried: it goes on in its next QEMU. refused: it cannot be updated. left: it ends with this kernel (--leave). lost: it would end with it, as nothing carries it.',
    ),
  ),
  state: v.pipe(
    v.picklist(['running', 'paused', 'saved']),
    v.description('paused: its processors do not run, and stay so. saved: it has no QEMU now.'),
  ),
  why: v.pipe(v.nullable(v.string()), v.description('Of one that is not carried.')),
  quitFirst: v.exactOptional(
    v.pipe(
      v.nullable(v.string()),
      v.description(
        'With --vmm-only: why its old QEMU would have to end first; null: the next one would start first.',
      ),
    ),
  ),
  expected: v.pipe(
    v.nullable(BlackoutSchema),
    v.description(
      'Its blackout, by the reports of former updates of this host; null: it is not stopped, or no report tells.',
    ),
  ),
})

export const RehearsalSchema = v.object({
  load: v.pipe(
    v.nullable(LoadSchema),
    v.description('With --kernel: of the next kernel, which is unloaded again; else null.'),
  ),
  guests: v.array(GuestSchema),
})

export const rehearsalOutput = ({ load, guests }: Rehearsal) => ({ load, guests })
