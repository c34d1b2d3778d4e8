/** Tests of a line for the journal or for syslog, as their sockets receive it. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { loginUid, writeJournal } from './system-log.ts'
import { DatagramReceiver } from './testing/datagram-receiver.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'journal-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

function sockets(t: TestContext) {
  const folder = folderOf(t)
  return { journal: join(folder, 'journal'), syslog: join(folder, 'syslog') }
}

function receiver(t: TestContext, path: string): DatagramReceiver {
  const received = new DatagramReceiver(path)
  t.after(() => received.close())
  return received
}

test('the journal gets its fields, a line each, whatever they hold', (t) => {
  const paths = sockets(t)
  const [journal, syslog] = [receiver(t, paths.journal), receiver(t, paths.syslog)]
  assert.equal(writeJournal('one\nPRIORITY=0', { GUESTMEMFS_STATUS: '0\nX=1' }, paths), 'journal')
  assert.deepEqual(journal.take(), [
    'MESSAGE=one PRIORITY=0\nPRIORITY=5\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=guestmemfs\nGUESTMEMFS_STATUS=0 X=1\n',
  ])
  assert.deepEqual(syslog.take(), [])
})

test('syslog gets it where there is no journal', (t) => {
  const paths = sockets(t)
  const syslog = receiver(t, paths.syslog)
  assert.equal(writeJournal('one\n<0>two', {}, paths), 'syslog')
  assert.deepEqual(syslog.take(), [`<85>guestmemfs[${process.pid}]: one <0>two`])
})

test('a journal that does not read is not waited for', (t) => {
  const paths = sockets(t)
  const [journal, syslog] = [receiver(t, paths.journal), receiver(t, paths.syslog)]
  const took: unknown[] = []
  for (let line = 0; line < 2000 && !took.includes('syslog'); line++)
    took.push(writeJournal(`line ${line}`, {}, paths))
  assert.equal(took.at(-1), 'syslog', 'its queue was never full')
  assert.equal(journal.take().length, took.length - 1)
  assert.equal(syslog.take().length, 1)
})

test('a login uid, none, and a kernel without', (t) => {
  const path = join(folderOf(t), 'loginuid')
  const read = (text: string) => {
    writeFileSync(path, text)
    return loginUid(path)
  }
  assert.equal(read('1000'), 1000)
  assert.equal(read('4294967295'), undefined)
  assert.equal(loginUid(join(path, 'none')), undefined)
})
