/**
 * A dry run of `live-update --kernel`. This machine need not have a live update orchestrator, so the command
 * sees a device of that name, which makes it plan as on one that has it. The testbed has the real one.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { runInTree } from '../mount/support.ts'
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

/** What `live-update --dry-run` says, which always refuses: there is no such kernel. */
export async function linesOfPlan(t: TestContext, ...options: string[]): Promise<string[]> {
  const real = join(scratchFolder(t), 'dev')
  mkdirSync(real)
  const within = ['--mount', 'sh', '-ec', WITH_ORCHESTRATOR, 'sh', real]
  const words = ['live-update', '--kernel', '/nowhere', '--dry-run', ...options]
  const { status, stdout, stderr } = await runInTree('unshare', within, words)
  assert.equal(status, 1, stderr)
  assert.match(stderr, /kernel \/nowhere is missing/)
  return `${stdout}${stderr}`.split('\n')
}
