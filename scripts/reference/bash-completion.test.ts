/** Tests of the completion for bash, in a bash, with a guestmemfs that prints what the real one would. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { describeVm, type Vm } from '../../src/qemu/vm-list.ts'
import { bashCompletion } from './bash-completion.ts'
import { describeProgram } from './described.ts'

const folder = mkdtempSync(join(tmpdir(), 'completion-'))
const skip = spawnSync('bash', ['-c', 'mapfile </dev/null']).status === 0 ? false : 'there is no bash 4'
after(() => rmSync(folder, { recursive: true }))

const POOLS = [
  {
    pool: 'guestmemfs',
    mountPoint: '/mnt/guestmemfs',
    ram: [{ file: '"pool":"no","mountPoint":"/no"', mappings: [{ program: 'qemu' }] }],
  },
  { pool: 'parked', mountPoint: null, ram: [] },
  { pool: 'odd', mountPoint: '/mnt/$(touch odd)', ram: [] },
]

const VMS = ['web', 'db'].map((name) => {
  const definition = { name, ramFiles: [{ path: '/mnt/"name":"no"', sizeBytes: 1, id: 'ram' }], saved: null }
  return describeVm({ definition, state: 'running', qemu: undefined } as unknown as Vm, false)
})

before(async () => {
  writeFileSync(join(folder, 'completion'), bashCompletion(await describeProgram()))
  writeFileSync(join(folder, 'list'), JSON.stringify(POOLS))
  writeFileSync(join(folder, 'vms'), JSON.stringify(VMS))
  const typed = '#!/bin/sh\n[ "$2" = --json ] && exec cat "$(dirname "$0")/$1"\necho unknown >&2\nexit 1\n'
  writeFileSync(join(folder, 'guestmemfs'), typed)
  chmodSync(join(folder, 'guestmemfs'), 0o755)
})

/** What bash offers for the last of these words, which readline has split. */
function offered(words: readonly string[], environment: Readonly<Record<string, string>> = {}): string[] {
  const call = 'COMP_WORDS=(guestmemfs "$@"); COMP_CWORD=$#; _guestmemfs'
  const script = `. "$0"; ${call}; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { status, stdout, stderr } = spawnSync(
    'bash',
    ['--norc', '-c', script, join(folder, 'completion'), ...words],
    {
      encoding: 'utf8',
      cwd: folder,
      env: { PATH: `${folder}:${process.env.PATH}`, ...environment },
    },
  )
  assert.deepEqual([status, stderr], [0, ''])
  return stdout.split('\n').filter((line) => line !== '')
}

test('commands, and the options of each', { skip }, () => {
  assert.deepEqual(offered(['mo']), ['mount'])
  assert.ok(!offered(['']).includes('keep'), 'what only the unit calls')
  assert.deepEqual(offered(['umount', '--f']), ['--force'])
  assert.deepEqual(offered(['umount', '-']), ['--discard', '--force', '--json', '-h', '--help'])
  assert.deepEqual(offered(['hand-over', '--j']), ['--json'])
  assert.deepEqual(offered(['help', 're']), ['resume', 'report', 'reserve'])
  assert.deepEqual(offered(['no-such', '']), [])
})

test('pools, mount points and VMs that there are, and nothing that a shell would expand', { skip }, () => {
  assert.deepEqual(offered(['mount', '']), ['guestmemfs', 'parked', 'odd'])
  assert.deepEqual(offered(['umount', '']), ['guestmemfs', '/mnt/guestmemfs', 'parked', 'odd'])
  assert.deepEqual(offered(['umount', '/']), ['/mnt/guestmemfs'])
  assert.deepEqual(offered(['resume', '']), ['guestmemfs', '/mnt/guestmemfs', 'parked', 'odd'])
  assert.deepEqual(offered(['resume', '--name', '']), ['web', 'db'])
  assert.deepEqual(offered(['resume', '--name', 'web', '--name', 'd']), ['db'])
  assert.deepEqual(offered(['live-update', '--leave', '']), ['web', 'db'])
  assert.deepEqual(offered(['run', '--name', '']), [], 'a new name')
  assert.equal(existsSync(join(folder, 'odd')), false)
})

test('the place of an argument is found among options and their values', { skip }, () => {
  assert.deepEqual(offered(['mount', '-o', 'size', '=', '1G', 'par']), ['parked'])
  assert.deepEqual(offered(['mount', '--json', 'guestmemfs', 'par']), [], 'a directory')
  assert.deepEqual(offered(['umount', 'guestmemfs', '']), [], 'there is one argument')
  assert.deepEqual(offered(['run', '--pool', '=', 'par']), ['parked'])
  assert.deepEqual(offered(['run', '--pool', '=']), ['guestmemfs', '/mnt/guestmemfs', 'parked', 'odd'])
  assert.deepEqual(offered(['live-update', '--via', 's']), ['systemctl'])
  assert.deepEqual(offered(['reserve', '--store', '']), ['dax', 'devmem'])
})

test('what follows -- is another program', { skip }, () => {
  assert.deepEqual(offered(['run', '--', 'guestmem']), ['guestmemfs'])
  assert.deepEqual(offered(['run', '--', 'qemu-system-x86_64', '--mo']), [])
})

test('a guestmemfs that fails or is not there offers nothing, without a word', { skip }, () => {
  for (const name of ['list', 'vms']) rmSync(join(folder, name))
  assert.deepEqual(offered(['umount', '']), [])
  assert.deepEqual(offered(['resume', '--name', '']), [])
  rmSync(join(folder, 'guestmemfs'))
  assert.deepEqual(offered(['umount', '']), [])
})
