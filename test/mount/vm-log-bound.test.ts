/** A program that prints without an end into its VM's log does not fill /run while a pool is mounted. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { makeVmDirectory } from '../../src/run/vm-runtime.ts'
import { cannotMount, mountTestPool, until } from './support.ts'

const MIB = 2 ** 20

test('a keeper cuts the log of a VM that prints without an end', {
  skip: cannotMount,
  timeout: 60_000,
}, async (t) => {
  await mountTestPool(t, { size: '64M' })
  const { directory, log } = makeVmDirectory(`prints-${process.pid}`)
  t.after(() => fs.rmSync(directory, { recursive: true }))
  const fd = fs.openSync(log, 'a', 0o600)
  // As QEMU has it: the descriptor itself, opened for appending. 10 MiB in all, and nothing after that.
  const script =
    'for part in 1 2 3 4 5; do head -c 2M /dev/zero | tr "\\0" x; sleep 1; done; echo the end; exec sleep 600'
  const printer = spawn('sh', ['-c', script], { stdio: ['ignore', fd, fd] })
  t.after(() => printer.kill('SIGKILL'))
  fs.closeSync(fd)
  let most = 0
  const text = () => fs.readFileSync(log, 'latin1')
  await until(
    'all is printed, and the log is cut',
    () => {
      most = Math.max(most, fs.statSync(log).size)
      return /the end\n/.test(text()) && fs.statSync(log).size <= MIB
    },
    30_000,
  )
  assert.match(text(), /\(\d+ bytes of output before this were cut off\)/)
  assert.ok(most < 9 * MIB, `${most} bytes`)
})
