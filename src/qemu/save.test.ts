import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QemuError } from '../values/errors.ts'
import { checkStillSaved } from './save.ts'

const inState = (status: string, running = false) => ({ execute: async () => ({ status, running }) })

test('a saved guest is stopped by its migration, and by nothing else', async () => {
  await checkStillSaved(inState('postmigrate'))
  for (const other of [inState('running', true), inState('paused'), inState('shutdown')])
    await assert.rejects(checkStillSaved(other), /^QemuError: another client of its QEMU has continued it/)
  const silent = { execute: () => Promise.reject(new QemuError('query-status: no answer within 9 ms')) }
  await assert.rejects(checkStillSaved(silent), /no answer/)
})
