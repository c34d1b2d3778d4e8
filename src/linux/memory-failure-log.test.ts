import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ENOENT, Errno } from '../values/errno.ts'
import { failedPage, MemoryFailureLog } from './memory-failure-log.ts'

const record = (text: string, priority = 3): string => `${priority},1093,5412345678,-;${text}\n`

test('the page is the one that the kernel names, whatever it says of it', () => {
  for (const said of [
    'recovery action for dax page: Recovered',
    'recovery action for dax page: Failed',
    'recovery action for non struct page pfn: Ignored',
    'memory outside kernel control',
    'already hardware poisoned',
    'Sending SIGBUS to qemu-system-x86:4242 due to hardware memory corruption',
  ])
    assert.equal(failedPage(record(`Memory failure: 0x140005: ${said}`)), 0x140005000, said)
  assert.equal(
    failedPage('3,1,2,-,caller=T41;Memory failure: 0x1: dirty LRU page\n SUBSYSTEM=memory\n'),
    0x1000,
  )
})

test('no other record is taken for one', () => {
  for (const text of [
    'Injecting memory failure for pfn 0x140005 at process virtual address 0x7f0000000000',
    'Unpoison: 0x140005: page was already unpoisoned',
    'Memory failure: Unpoison: Software-unpoisoned page 0x140005',
    'soft offline: 0x140005: page already poisoned',
    'guestmemfs: Memory failure: 0x140005: no',
    'Memory failure: buffer overflow when queuing memory failure at 0x140005',
    'Memory failure: 0x140005',
    'Memory failure: 0xfffffffffffff: recovery action for dax page: Recovered',
  ])
    assert.equal(failedPage(record(text)), undefined, text)
  // What a process writes to /dev/kmsg has facility 1 at least.
  assert.equal(failedPage(record('Memory failure: 0x140005: memory outside kernel control', 11)), undefined)
  assert.equal(failedPage('no record'), undefined)
})

test('the log is followed: each record once, and no wait where there is none', (t) => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'kmsg-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const path = join(folder, 'kmsg')
  const missing = MemoryFailureLog.open(path)
  assert.equal(missing, ENOENT)
  execFileSync('mkfifo', [path])
  const log = MemoryFailureLog.open(path)
  assert.ok(!(log instanceof Errno))
  const kernel = fs.openSync(path, 'w')
  assert.deepEqual(log.read(), { pages: [], gaps: 0, isMore: false })
  for (const frame of ['0x100000', '0x100001']) {
    fs.writeSync(kernel, record(`Memory failure: ${frame}: memory outside kernel control`))
    assert.deepEqual(log.read(), { pages: [Number(frame) * 4096], gaps: 0, isMore: false })
  }
  fs.writeSync(kernel, record('usb 1-1: new device'))
  assert.deepEqual(log.read(), { pages: [], gaps: 0, isMore: false })
  fs.closeSync(kernel)
  log.close()
})
