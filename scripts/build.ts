/**
 * Owns `npm run build`: the published package's JavaScript in `dist/`, made by tsc from `src/` without its tests.
 * Must not leave anything of an earlier build behind, or build what does not start.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

const project = dirname(import.meta.dirname)
const dist = join(project, 'dist')

function run(program: string, args: readonly string[]): void {
  const path = `${dirname(process.execPath)}:${process.env.PATH ?? ''}`
  const { status, error } = spawnSync(program, args, {
    cwd: project,
    env: { ...process.env, PATH: path },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (error) throw error
  if (status !== 0) process.exit(1)
}

rmSync(dist, { recursive: true, force: true })
run(join(project, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'])
chmodSync(join(dist, 'cli.js'), 0o755)
run(process.execPath, [join(dist, 'cli.js'), '--version'])
process.stdout.write('dist/ is built\n')
