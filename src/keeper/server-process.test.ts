import assert from 'node:assert/strict'
import { ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { test } from 'node:test'
import type { Fd } from '../values/ids.ts'
import { makeRuntime, makeTable } from './areas.ts'
import { MemfdTable } from './memfd-table.ts'
import { ServerProcess } from './server-process.ts'

test('a server that cannot be started has died, and takes nobody along', async (t) => {
  const program = process.execPath
  process.execPath = '/nonexistent'
  const { kill } = ChildProcess.prototype
  const killed: unknown[] = []
  ChildProcess.prototype.kill = (signal) => killed.push(signal) > 0
  t.after(() => {
    ChildProcess.prototype.kill = kill
  })
  const orders = { preserve() {}, unpreserve() {} }
  const server = new ServerProcess(
    new MemfdTable(makeTable().table),
    openSync('/dev/null', 'a') as Fd,
    orders,
  )
  process.execPath = program
  const source = { kind: 'dax', region: null } as const
  const ended = await server.open({ pool: 'pool', source }, { runtime: makeRuntime(), memfd: undefined })
  assert.equal(ended.kind, 'died')
  assert.match((ended as { how: string }).how, /could not be started.*ENOENT/)
  assert.deepEqual(killed, [], 'a signal for a process that was never there reaches any other')
})
