/**
 * `npm run testbed:kernel`: builds the kernel with the Live Update Orchestrator, or says where it already is.
 */
import { errorText, UsageError } from '../../src/values/errors.ts'
import { Progress } from '../scenario/progress.ts'
import { luoKernel } from './luo.ts'

try {
  const progress = new Progress()
  const vmlinuz = await luoKernel((name, work, detail) => progress.show(name, work, detail))
  process.stdout.write(`${vmlinuz}\n`)
} catch (error) {
  const expected = error instanceof UsageError
  process.stderr.write(`${errorText(error)}\n`)
  process.exitCode = expected ? 2 : 1
}
