/**
 * `npm run build`: the published package's JavaScript in `dist/`, made from `src/` without its tests.
 * Must not: leave anything of an earlier build behind, or build what does not start. `npm run check` checks
 * types.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { bundle } from './build/bundle.ts'

const project = dirname(import.meta.dirname)
const dist = join(project, 'dist')

await bundle(project)
chmodSync(join(dist, 'cli.js'), 0o755)
const { status, error } = spawnSync(process.execPath, [join(dist, 'cli.js'), '--version'], {
  stdio: ['ignore', 'ignore', 'inherit'],
})
if (error) throw error
if (status !== 0) process.exit(1)
process.stdout.write('dist/ is built\n')
