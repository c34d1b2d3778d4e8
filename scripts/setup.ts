/**
 * `npm run setup`: the Debian and Ubuntu packages that tests and demo need, installed after asking (`--yes`,
 * or without a terminal: without asking). Must not: install what is already there.
 */
import { THIS_HOST } from '../src/host/apt.ts'
import { ensureQemu } from '../src/host/qemu-package.ts'
import { formatVersion } from '../src/host/version.ts'
import { UsageError } from '../src/values/errors.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

try {
  const version = await ensureQemu(THIS_HOST, { yes: process.argv.includes('--yes') }, say)
  say(`QEMU ${formatVersion(version)} is installed`)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`setup: ${error.message}\n`)
  process.exitCode = 1
}
