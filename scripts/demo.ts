/**
 * `npm run demo`: the choice of the demo, and the exit on an error. Without words it is the live update of a
 * kernel, in the testbed, whose parts it fetches into the cache without asking; `--local` is the live update
 * of a QEMU on this machine, which it installs where there is none, and on a terminal asks before.
 */
import { parseArgs } from 'node:util'
import { errorText, UsageError } from '../src/values/errors.ts'
import { demoKernel } from './demo/kernel.ts'
import { demoLocal } from './demo/local.ts'

function readOptions(): { yes: boolean; local: boolean } {
  try {
    const options = {
      yes: { type: 'boolean', short: 'y', default: false },
      local: { type: 'boolean', default: false },
    } as const
    return parseArgs({ options }).values
  } catch (error) {
    throw new UsageError(`${errorText(error)} (known: --yes, --local)`)
  }
}

try {
  const { yes, local } = readOptions()
  await (local ? demoLocal({ yes }) : demoKernel())
} catch (error) {
  const isForOperator = error instanceof UsageError
  process.stdout.write(
    `demo: ${isForOperator ? error.message : error instanceof Error ? error.stack : error}\n`,
  )
  process.exitCode = 1
}
