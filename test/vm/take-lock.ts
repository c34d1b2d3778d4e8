/**
 * Tries for a lock without a pause, says `trying`, and `taken` once it has it, and holds it for two seconds:
 * `take-lock.ts PATH`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { tryLock } from '../../src/run/vm-runtime.ts'

const [path = ''] = process.argv.slice(2)
const until = performance.now() + 60_000
process.stdout.write('trying\n')
while (performance.now() < until && tryLock(path) === undefined);
process.stdout.write('taken\n')
await sleep(2000)
