/** What `status` prints with --json: all that the pool tells of itself, and what was found about it. */
import * as v from 'valibot'
import { PoolStatusSchema } from '../../pool/pool-status.ts'
import { ListedVmSchema } from '../../qemu/vm-list.ts'
import { FindingSchema } from './finding-output.ts'

const ProcessOutput = v.object({
  pid: v.number(),
  version: v.pipe(v.nullable(v.string()), v.description('null: it cannot be seen.')),
  startedAtMs: v.nullable(v.number()),
})

export const StatusOutput = v.object({
  ...PoolStatusSchema.entries,
  processes: v.object({
    keeper: v.pipe(v.nullable(ProcessOutput), v.description('null: it has died, and the server serves on.')),
    server: ProcessOutput,
  }),
  guests: v.pipe(
    v.nullable(v.array(v.pick(ListedVmSchema, ['name', 'state']))),
    v.description('null: they are shown to root alone.'),
  ),
  findings: v.pipe(
    v.array(FindingSchema),
    v.description('What is not as it should be; none: there is nothing to do.'),
  ),
})
