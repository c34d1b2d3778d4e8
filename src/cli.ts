#!/usr/bin/env node
/**
 * The program's entry: it sets the umask, turns on the compile cache before any other source is loaded, and
 * starts a keeper's process at the same time, because after a kexec guests wait for every command that
 * resumes them.
 */
import { useCompileCache } from './linux/compile-cache.ts'
import { fixUmask } from './linux/umask.ts'
import { hasUnit } from './pool/has-unit.ts'
import { WaitingKeeper } from './pool/waiting-keeper.ts'

fixUmask()
useCompileCache()
// Only `mount` starts a keeper, and not where the service manager starts it as the unit's process.
const [command, , directory] = process.argv.slice(2)
const mounts = command === 'mount' && directory !== undefined && process.env.GUESTMEMFS_UNIT === undefined
const waiting = mounts && !hasUnit() && process.getuid?.() === 0 ? new WaitingKeeper() : undefined
const { main } = await import('./cli/program.ts')
await main(waiting)
