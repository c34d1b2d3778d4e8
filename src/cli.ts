#!/usr/bin/env node
/**
 * The program's entry: it sets the umask, turns on the compile cache before any other source is loaded, lets
 * saved guests go on, and starts a keeper's process while the rest is loaded, because after a kexec guests
 * wait for every command that resumes them.
 */
import { DEFAULT_TIMEOUT, timeoutOption } from './cli/options.ts'
import { complain } from './cli/print.ts'
import { earlyPool, resumingMount } from './early/mount-words.ts'
import { useCompileCache } from './linux/compile-cache.ts'
import { fixUmask } from './linux/umask.ts'
import { hasUnit } from './pool/has-unit.ts'
import { WaitingKeeper } from './pool/waiting-keeper.ts'

fixUmask()
useCompileCache()
const words = process.argv.slice(2)
const pool = earlyPool(words)
if (pool !== undefined) {
  const { startForUnit } = await import('./early/early-unit.ts')
  await startForUnit(pool, complain)
  process.exit()
}
const resuming = resumingMount(words)
const early =
  resuming &&
  (await (
    await import('./early/before-mount.ts')
  ).guestsBeforeMount(resuming, timeoutOption(DEFAULT_TIMEOUT)))
// Only `mount` starts a keeper, and not where the service manager starts it as the unit's process.
const [command, , directory] = words
const mounts = command === 'mount' && directory !== undefined && process.env.GUESTMEMFS_UNIT === undefined
const waiting = mounts && !hasUnit() && process.getuid?.() === 0 ? new WaitingKeeper() : undefined
if (early?.goingOn !== undefined) waiting?.yieldTo(early.goingOn)
const { main } = await import('./cli/program.ts')
await main({ waiting, early })
