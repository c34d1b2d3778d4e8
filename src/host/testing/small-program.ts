/**
 * The smallest program that can be installed: it prints which build it is, from which folder, and its
 * arguments.
 */
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Program } from '../this-program.ts'

/** Writes it below `root`. Told to wait, it waits for its standard input. Its "Node" is the shell. */
export function smallProgram(root: string, build: string): Program {
  for (const folder of ['dist', 'node_modules/one/inner', 'node_modules/@two/two'])
    mkdirSync(join(root, folder), { recursive: true })
  const cli = `here=\${0%/*}
. "$here/build.js"
read -r word <"$here/../node_modules/one/inner/index.js"
printf '%s ' "$build" "$word" "$0" "$(readlink /proc/$$/exe)" "$@"
[ "$1" != wait ] || read -r line
`
  const files = {
    'package.json': { name: 'small', version: '1.0.0', type: 'module', dependencies: { one: '1' } },
    'node_modules/one/package.json': {
      name: 'one',
      type: 'module',
      exports: './inner/index.js',
      dependencies: { '@two/two': '1' },
      optionalDependencies: { absent: '1' },
    },
    'node_modules/@two/two/package.json': { name: '@two/two' },
  }
  for (const [path, content] of Object.entries(files))
    writeFileSync(join(root, path), JSON.stringify(content))
  writeFileSync(join(root, 'node_modules/one/inner/index.js'), 'package\n')
  writeFileSync(join(root, 'dist/cli.js'), cli)
  writeFileSync(join(root, 'dist/build.js'), `build=${build}\n`)
  return { node: realpathSync('/bin/sh'), root, entry: 'dist/cli.js', version: '1.0.0' }
}
