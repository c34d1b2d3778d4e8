import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import type { ServerEnd, ServerProcess } from '../server-process.ts'
import { findOwner } from './find-owner.ts'
import { processRole } from './process-role.ts'

/** A server of a keeper that took a pool over, as it ended. */
const server = (end: 'serving' | ServerEnd): ServerProcess =>
  ({ served: () => Promise.resolve(end) }) as unknown as ServerProcess

async function processNamed(t: TestContext, ...words: string[]): Promise<number> {
  const child = spawn('sh', ['-c', 'while :; do sleep 1; done', ...words])
  t.after(() => child.kill('SIGKILL'))
  await new Promise((resolve) => child.once('spawn', resolve))
  return child.pid ?? 0
}

const refused = (ownerPid: number | undefined): ServerEnd => ({ kind: 'refused', reason: 'locked', ownerPid })

test('only the lock of another living server makes a keeper end', async (t) => {
  const other = await processNamed(t, '/somewhere/src/server/main.ts')
  const stranger = await processNamed(t, 'flock')
  assert.deepEqual([processRole(other), processRole(stranger)], ['server', undefined])
  assert.equal(await findOwner(server(refused(other)), 1), other)
  assert.equal(await findOwner(server(refused(other)), other), undefined, 'it is the one that was killed')
  assert.equal(await findOwner(server(refused(stranger)), 1), undefined)
  assert.equal(await findOwner(server(refused(undefined)), 1), undefined)
  assert.equal(await findOwner(server('serving'), 1), undefined)
  assert.equal(await findOwner(server({ kind: 'died', how: 'SIGKILL' }), 1), undefined)
})
