/** The table of campaigns: what `npm run campaign` lists and runs. */
import { UsageError } from '../src/values/errors.ts'
import type { Campaign } from './campaign.ts'
import { fuzz } from './fuzz/fuzz.ts'
import { killCarveOut, syscallsCarveOut } from './in-testbed.ts'
import { kexecs } from './kexecs.ts'
import { kill } from './kill/kill.ts'
import { machine } from './machine/machine.ts'
import { soak } from './soak/soak.ts'
import { syscalls } from './syscalls/syscalls.ts'

export const CAMPAIGNS: Readonly<Record<string, Campaign>> = {
  kill,
  'kill-carve-out': killCarveOut,
  machine,
  syscalls,
  'syscalls-carve-out': syscallsCarveOut,
  fuzz,
  soak,
  kexecs,
}

/** Throws `UsageError` with the names of all. */
export function findCampaign(name: string): Campaign {
  const campaign = Object.hasOwn(CAMPAIGNS, name) ? CAMPAIGNS[name] : undefined
  if (campaign !== undefined) return campaign
  throw new UsageError(`no campaign ${name}: there are ${Object.keys(CAMPAIGNS).join(', ')}`)
}
