/** Logs of VMs with a writer that appends, as a QEMU does. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { cutVmLogs } from './vm-logs.ts'

test('a long log keeps its end, its writer goes on, and others are left alone', (t) => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'vm-logs-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  for (const name of ['long', 'short', 'none', 'link']) fs.mkdirSync(join(folder, name))
  const path = (name: string) => join(folder, name, 'log')
  const elsewhere = join(folder, 'elsewhere')
  fs.writeFileSync(elsewhere, Buffer.alloc(3 * 2 ** 20))
  fs.symlinkSync(elsewhere, path('link'))
  fs.writeFileSync(path('short'), Buffer.alloc(2 ** 20, 's'))
  const writer = fs.openSync(path('long'), 'a')
  t.after(() => fs.closeSync(writer))
  fs.writeSync(writer, Buffer.alloc(2 ** 20, 'a'))
  fs.writeSync(writer, 'the end\n')
  cutVmLogs(folder)
  fs.writeSync(writer, 'and on\n')
  const log = fs.readFileSync(path('long'), 'latin1')
  assert.match(log, /^\(786440 bytes of output before this were cut off\)\na+the end\nand on\n$/)
  assert.ok(log.length < 2 ** 19)
  assert.equal(fs.statSync(path('short')).size, 2 ** 20)
  assert.equal(fs.statSync(elsewhere).size, 3 * 2 ** 20)
  cutVmLogs(join(folder, 'missing'))
})
