/** What `live-update` prints with --json; `resume` and `report` print its reports alone. */
import * as v from 'valibot'
import type { KernelPlan } from '../../liveupdate/kernel/kernel-plan.ts'
import { KEXEC_METHODS } from '../../liveupdate/preflight/check-host.ts'
import { ReportSchema } from '../../liveupdate/report/update-report.ts'
import { FindingSchema } from './finding-output.ts'
import { RehearsalSchema } from './rehearsal-output.ts'

const PlanSchema = v.object({
  via: v.picklist(KEXEC_METHODS),
  kernel: v.string(),
  initrd: v.nullable(v.string()),
  before: v.pipe(v.string(), v.description('The release of the kernel that runs.')),
  next: v.pipe(v.nullable(v.string()), v.description('That of the next one; null: it is refused.')),
  commandLine: v.string(),
  pools: v.array(
    v.object({
      pool: v.string(),
      mountPoint: v.string(),
      store: v.string(),
      by: v.pipe(v.picklist(['carve-out', 'luo']), v.description('How its memory outlives the kexec.')),
    }),
  ),
  vms: v.array(v.object({ name: v.string(), mountPoint: v.string(), ramBytes: v.number() })),
  left: v.pipe(v.array(v.string()), v.description('Guests that end with this kernel (--leave).')),
})

export const ReportsSchema = v.object({
  reports: v.pipe(v.array(ReportSchema), v.description('One for each mount; none: there was nothing to do.')),
})

export const UpdateOutput = v.object({
  ready: v.pipe(
    v.nullable(v.boolean()),
    v.description(
      'With --kernel: whether the preflight found no error; with --rehearse: whether the update would begin, and leave out no guest; else null.',
    ),
  ),
  plan: v.pipe(v.nullable(PlanSchema), v.description('With --kernel.')),
  rehearsal: v.pipe(v.nullable(RehearsalSchema), v.description('With --rehearse.')),
  findings: v.array(FindingSchema),
  ...ReportsSchema.entries,
})

export const planOutput = (plan: KernelPlan) => ({ ...plan, next: plan.next ?? null })
