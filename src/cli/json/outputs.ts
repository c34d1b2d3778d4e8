/**
 * What each command prints with --json: one object on one line, in which every list has a name. Byte counts
 * are numbers in keys that end in `Bytes`, lengths of time in microseconds in keys that end in `Us`, points
 * in time in milliseconds since 1970 in keys that end in `AtMs`. A command that failed before it had a result
 * prints none.
 *
 * The types of `printJson` come from these schemas, and so does docs/reference/json.md; the tests parse by
 * them what the commands print. Must not: be loaded by a command, which needs the types alone.
 */
import * as v from 'valibot'
import { ListedVmSchema } from '../../qemu/vm-list.ts'
import type { DeepReadonly } from '../../values/deep-readonly.ts'
import { DumpOutput } from './dump-output.ts'
import { FindingSchema } from './finding-output.ts'
import {
  FormatOutput,
  FrozenOutput,
  FsckOutput,
  HandoverOutput,
  ListOutput,
  MountOutput,
  UmountOutput,
  UpgradeOutput,
} from './pool-output.ts'
import { ReserveOutput } from './reserve-output.ts'
import { StatusOutput } from './status-output.ts'
import { ReportsSchema, UpdateOutput } from './update-output.ts'

/** By the command, in the order of the help. */
export const OUTPUTS = {
  mount: MountOutput,
  umount: UmountOutput,
  list: ListOutput,
  status: StatusOutput,
  freeze: FrozenOutput,
  thaw: FrozenOutput,
  format: FormatOutput,
  upgrade: UpgradeOutput,
  vms: v.object({ vms: v.array(ListedVmSchema) }),
  resume: ReportsSchema,
  'live-update': UpdateOutput,
  handover: HandoverOutput,
  report: v.pipe(ReportsSchema, v.description('The last one, or none since this machine started.')),
  doctor: v.object({
    ready: v.pipe(v.boolean(), v.description('guestmemfs works on this host.')),
    findings: v.array(FindingSchema),
  }),
  reserve: ReserveOutput,
  fsck: FsckOutput,
  dump: DumpOutput,
} as const

export type Outputs = {
  [Command in keyof typeof OUTPUTS]: DeepReadonly<v.InferOutput<(typeof OUTPUTS)[Command]>>
}
