/**
 * A program: installs the files of a folder below a prefix, and kills itself by SIGKILL before its Nth call
 * that changes the file system. Exit status 0: there were fewer. PREFIX ROOT N
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const CALLS = [
  ...[
    'chmodSync',
    'copyFileSync',
    'fchmodSync',
    'fsyncSync',
    'linkSync',
    'mkdirSync',
    'renameSync',
    'rmSync',
  ],
  ...['rmdirSync', 'symlinkSync', 'writeFileSync', 'writeSync'],
] as const
const [prefix = '', root = '', count = '0'] = process.argv.slice(2)
let left = Number(count)

type Change = (...words: unknown[]) => unknown
const calls = fs as unknown as Record<string, Change>
for (const name of CALLS) {
  const call = calls[name] as Change
  calls[name] = (...words) => {
    if (--left === 0) process.kill(process.pid, 'SIGKILL')
    return call(...words)
  }
}
syncBuiltinESMExports()

const { installProgram } = await import('../../src/host/install-program.ts')
const { node, entry, version } = { node: fs.realpathSync('/bin/sh'), entry: 'dist/cli.js', version: '1.0.0' }
installProgram(prefix, { node, root, entry, version }, {})
