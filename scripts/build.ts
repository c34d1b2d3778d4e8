/**
 * `npm run build`: the published package's JavaScript in `dist/`, made from `src/` without its tests.
 * Must not: leave anything of an earlier build behind, or build what does not start. `npm run check` checks
 * types.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { bundle } from './build/bundle.ts'
import { NPM_COMMAND, npmCommandText } from './build/npm-command.ts'

const project = dirname(import.meta.dirname)
const dist = join(project, 'dist')

const { engines } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
  readonly engines: { readonly node: string }
}

await bundle(project)
writeFileSync(join(dist, NPM_COMMAND), npmCommandText(Number(/\d+/.exec(engines.node)?.[0])))
for (const name of ['cli.js', NPM_COMMAND]) chmodSync(join(dist, name), 0o755)
const { status, error } = spawnSync(process.execPath, [join(dist, NPM_COMMAND), '--version'], {
  stdio: ['ignore', 'ignore', 'inherit'],
})
if (error) throw error
if (status !== 0) process.exit(1)
process.stdout.write('dist/ is built\n')
