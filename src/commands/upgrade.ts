/** `guestmemfs upgrade`: the formats of a mounted pool, to those of this version. */
import type { CommandModule } from '../cli/command.ts'
import { ONLY_POOL, poolArgument } from '../cli/pool-argument.ts'
import { print, printJson } from '../cli/print.ts'
import { readNextBoot } from '../host/next-boot.ts'
import { checkNextBoot } from '../liveupdate/preflight/check-next-boot.ts'
import { planUpgrade, upgradePool } from '../pool/upgrade-pool.ts'
import { UsageError } from '../values/errors.ts'

function upgrade(named: string | undefined, { json }: { readonly json?: true }): void {
  const plan = planUpgrade(named)
  const { pool, mountPoint, from, to } = plan
  const programs = { ...readNextBoot(), lacksHelper: false }
  const [refusal] = checkNextBoot(programs, [{ pool, formats: { image: to } }])
  if (refusal !== undefined) throw new UsageError(refusal.message)
  upgradePool(plan)
  const what = from === to ? `image format ${to} already` : `image format ${from} → ${to}`
  if (json) printJson<'upgrade'>({ pool, mountPoint, image: { before: from, after: to } })
  else print(`${pool} on ${mountPoint}: ${what}`)
}

export const command: CommandModule = {
  name: 'upgrade',
  group: 'Pools',
  summary: 'upgrade the formats of a mounted pool: older versions do not read it then',
  changes: true,
  register: (command) => poolArgument(command, ONLY_POOL).option('--json', 'print JSON').action(upgrade),
}
