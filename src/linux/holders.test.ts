import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { findHolders, unreadableProcess } from './holders.ts'

interface Task {
  readonly state?: string
  /** Paths that its descriptors lead to. */
  readonly fds?: readonly string[]
  /** Permissions and path of mappings; without a path it is gone when one looks. */
  readonly maps?: readonly (readonly [permissions: string, path?: string])[]
  /** Names of other tasks: like a thread's, they are not listed as processes. */
  readonly threads?: readonly string[]
}

/** A folder that looks like /proc: its links lead to nodes that are really there. */
function fakeProc(tasks: Readonly<Record<string, Task>>): string {
  const proc = mkdtempSync(join(tmpdir(), 'guestmemfs-proc-'))
  writeFileSync(join(proc, 'stat'), 'cpu 1 2 3\nprocesses 1234\n')
  for (const [pid, { state = 'S', fds = [], maps = [], threads = [] }] of Object.entries(tasks)) {
    const folder = join(proc, pid)
    for (const name of ['fd', 'map_files', 'task']) mkdirSync(join(folder, name), { recursive: true })
    writeFileSync(join(folder, 'status'), `Name:\tguest\nState:\t${state} (whatever)\n`)
    writeFileSync(join(folder, 'comm'), `program-${pid}\n`)
    for (const [index, path] of fds.entries()) symlinkSync(path, join(folder, 'fd', String(index)))
    const lines = maps.map(([permissions, path], index) => {
      const range = `7f00${index}000-7f00${index}800`
      if (path !== undefined) symlinkSync(path, join(folder, 'map_files', range))
      return `${range} ${permissions} 00000000 00:05 ${index + 1}                 /dev/dax0.1 (deleted)`
    })
    writeFileSync(join(folder, 'maps'), ['7f-80 rw-p 00000000 00:00 0   [heap]', ...lines, ''].join('\n'))
    for (const tid of threads) symlinkSync(join(proc, tid), join(folder, 'task', tid))
  }
  return proc
}

const WANTED = new Set(['1:3', '1:5'] as const)
const [NULL, ZERO] = ['/dev/null', '/dev/zero']

function found(tasks: Readonly<Record<string, Task>>): Record<string, number> {
  const proc = fakeProc(tasks)
  const holders = findHolders(WANTED, proc)
  rmSync(proc, { recursive: true })
  return Object.fromEntries([...holders].map(([device, { pid }]) => [device, pid]))
}

test('no process, and processes that hold something else', () => {
  assert.deepEqual(found({}), {})
  assert.deepEqual(
    found({ 5: { fds: ['/dev/full', '/', '/nonexistent'], maps: [['rw-s', '/dev/full']] } }),
    {},
  )
})

test('an open descriptor holds', () => {
  assert.deepEqual(found({ 5: {}, 6: { fds: ['/', NULL] } }), { '1:3': 6 })
})

test('a mapping holds, without a descriptor', () => {
  assert.deepEqual(
    found({
      7: {
        maps: [
          ['rw-s', '/dev/full'],
          ['r--s', ZERO],
        ],
      },
    }),
    { '1:5': 7 },
  )
})

test('a private mapping is not looked at: device-dax has none', () => {
  assert.deepEqual(found({ 7: { maps: [['rw-p', ZERO]] } }), {})
})

test('each device is reported once', () => {
  assert.deepEqual(found({ 7: { fds: [ZERO] }, 8: { fds: [NULL, ZERO] } }), { '1:5': 7, '1:3': 8 })
})

test('where the first thread has ended, another one shows the mappings', () => {
  const thread = { maps: [['rw-s', NULL] as const] }
  assert.deepEqual(found({ 7: { state: 'Z', threads: ['7t'] }, '7t': thread }), { '1:3': 7 })
  assert.deepEqual(
    found({ 7: { threads: ['7t'] }, '7t': thread }),
    {},
    'while it runs, only its own are read',
  )
})

test('a process whose mappings cannot be read counts as a holder of everything', () => {
  assert.deepEqual(found({ 7: { maps: [['rw-s']] } }), { '1:3': 7, '1:5': 7 })
  assert.deepEqual(found({ 7: { maps: [['rw-s']] }, 8: { fds: [NULL] } }), { '1:3': 8, '1:5': 7 })
})

test('a process whose mappings cannot be read is named by itself', () => {
  const named = (tasks: Readonly<Record<string, Task>>) => {
    const proc = fakeProc(tasks)
    try {
      return unreadableProcess(proc)
    } finally {
      rmSync(proc, { recursive: true })
    }
  }
  assert.equal(named({ 7: { maps: [['rw-s', ZERO]] }, 8: { fds: [NULL] } }), undefined)
  assert.deepEqual(named({ 7: { fds: [NULL] }, 8: { maps: [['rw-s']] } }), {
    pid: 8,
    program: 'program-8',
    isUnreadable: true,
  })
})

test('by the running kernel’s /proc this process holds what it has open', () => {
  const holder = findHolders(new Set(['1:3' as const])).get('1:3')
  assert.ok(holder !== undefined && holder.pid > 0 && holder.program !== '')
})

test('a search reports each process that it has looked at', () => {
  let looked = 0
  // A device that nothing can hold: every process is looked at, twice or until none was forked meanwhile.
  findHolders(new Set(['511:1048575' as const]), '/proc', () => {
    looked += 1
  })
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length
  assert.ok(looked >= processes / 2, `${looked} of ${processes}`)
})
