/**
 * A dry run of `live-update --kernel`. This machine need not have a live update orchestrator, so the command
 * sees a device of that name, which makes it plan as on one that has it. The testbed has the real one.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Outcome, runInTree } from '../mount/support.ts'
import { scratchFolder } from './support.ts'

/**
 * `sh … FOLDER COMMAND…`: a /dev that has the orchestrator, in a mount namespace that the command has alone.
 */
const WITH_ORCHESTRATOR = `
mount --bind /dev "$1"
mount -t tmpfs -o mode=755 dev /dev
for node in fuse null zero random urandom; do ln -s "$1/$node" /dev/$node; done
: >/dev/liveupdate
shift
exec "$@"`

/** `live-update --kernel` of a kernel that is not there: it is always refused. */
export async function planKernel(t: TestContext, ...options: string[]): Promise<Outcome> {
  const real = join(scratchFolder(t), 'dev')
  mkdirSync(real)
  const within = ['--mount', 'sh', '-ec', WITH_ORCHESTRATOR, 'sh', real]
  const outcome = await runInTree('unshare', within, ['live-update', '--kernel', '/nowhere', ...options])
  assert.equal(outcome.status, 1, outcome.stderr)
  assert.match(`${outcome.stdout}${outcome.stderr}`, /kernel \/nowhere is missing/)
  return outcome
}

/** What `live-update --dry-run` says of it. */
export async function linesOfPlan(t: TestContext, ...options: string[]): Promise<string[]> {
  const { stdout, stderr } = await planKernel(t, '--dry-run', ...options)
  return `${stdout}${stderr}`.split('\n')
}
