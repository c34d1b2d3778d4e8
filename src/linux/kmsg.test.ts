/** Tests that a line reaches the kernel's log, or that the errno is returned. */
import assert from 'node:assert/strict'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { test } from 'node:test'
import { EAGAIN, EPIPE } from '../values/errno.ts'
import { writeKernelLog } from './kmsg.ts'
import { errnoOfNodeError } from './library.ts'

/** The records of /dev/kmsg that are complete. */
function kernelLog(): string[] {
  const fd = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK)
  const records: string[] = []
  const record = Buffer.alloc(8192)
  for (;;) {
    try {
      records.push(record.toString('latin1', 0, readSync(fd, record)))
    } catch (error) {
      const errno = errnoOfNodeError(error)
      // EPIPE: records were overwritten while we read; the next read goes on behind them.
      if (errno === EPIPE) continue
      assert.equal(errno, EAGAIN)
      closeSync(fd)
      return records
    }
  }
}

test('a line is in the kernel log, cut and on one line', (t) => {
  const mark = `test ${process.pid}-${Date.now()}`
  const errno = writeKernelLog(`${mark} a\nb ${'x'.repeat(2000)}`)
  if (errno !== undefined) return t.skip(`/dev/kmsg: ${errno}`)
  const record = kernelLog().find((text) => text.includes(mark)) ?? ''
  assert.match(record, new RegExp(`;guestmemfs: ${mark} a b x{800,900}\n`))
})
