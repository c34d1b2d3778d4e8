/** Tests of what is read about the kernel, on samples and on the running one. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { Errno } from '../values/errno.ts'
import {
  kernelCommandLine,
  kernelRelease,
  memoryInfo,
  parseMeminfo,
  setShmemHugePages,
  shmemHugePages,
  splitCommandLine,
} from './memory-info.ts'

test('meminfo: kilobytes become bytes, counts stay counts', () => {
  const fields = parseMeminfo('MemTotal:       1024 kB\nHugePages_Total:       3\nActive(anon):     4 kB\n')
  assert.deepEqual(
    [...fields],
    [
      ['MemTotal', 1048576],
      ['HugePages_Total', 3],
      ['Active(anon)', 4096],
    ],
  )
})

test('the running kernel has memory, a release and a command line', () => {
  const { totalBytes, availableBytes } = memoryInfo()
  assert.ok(totalBytes >= availableBytes && availableBytes > 0)
  const { text, major, minor } = kernelRelease()
  assert.equal(`${text}\n`, execFileSync('uname', ['-r'], { encoding: 'latin1' }))
  assert.ok(text.startsWith(`${major}.${minor}`))
  assert.ok(Array.isArray(kernelCommandLine()))
})

test('command line words: quotes keep spaces and are not part of the word', () => {
  assert.deepEqual(splitCommandLine('quiet guestmemfs=10G  a="b c" "d e"\tx=$y\n'), [
    'quiet',
    'guestmemfs=10G',
    'a=b c',
    'd e',
    'x=$y',
  ])
  assert.deepEqual(splitCommandLine('\n'), [])
})

test('the huge page setting is one of its modes, and a mode that does not exist is refused', () => {
  const mode = shmemHugePages()
  if (mode instanceof Errno) assert.equal(mode.name, 'ENOENT')
  else assert.match(mode, /^(always|within_size|advise|never|deny|force)$/)
  assert.ok(setShmemHugePages('nonsense') instanceof Errno)
  assert.equal(shmemHugePages(), mode)
})
