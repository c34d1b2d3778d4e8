import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AskedNodes } from '../../qemu/host-nodes.ts'
import { UsageError } from '../../values/errors.ts'
import { checkNextNodes } from './check-next-nodes.ts'
import { linesOf, vmOf } from './testing/facts.ts'

const GUESTS = [vmOf('a', 'running').definition, vmOf('b', 'running').definition]
const asking = (...nodes: number[]): AskedNodes => ({ id: 'ram', policy: 'bind', nodes })
const judge = (current: string, next: string, asked: readonly AskedNodes[] = [asking(1)]) =>
  linesOf(checkNextNodes({ current, next }, GUESTS, ({ name }) => (name === 'a' ? asked : [])))

test('a kernel with the same words has the same nodes', () => {
  assert.deepEqual(judge('ro quiet', 'ro'), [])
  assert.deepEqual(judge('numa=off', 'ro numa=off'), [])
})

test('a guest that asks for a node which the next kernel does not have is refused', () => {
  assert.deepEqual(judge('ro', 'ro numa=off', [asking(0, 1), asking(1)]), [
    "error: VM a asks for memory node 0, 1 (host-nodes=), and the next kernel's command line has numa=off: its QEMU would not start",
  ])
  assert.deepEqual(judge('ro', 'ro numa=off', [asking(0)]), [])
  assert.deepEqual(judge('ro', 'ro acpi=off', []), [])
})

test('other nodes than now are a warning', () => {
  assert.match(
    judge('ro', 'ro numa=fake=4')[0] ?? '',
    /^warn: VM a asks .* has numa=fake=4: its nodes may be/,
  )
  assert.match(judge('numa=fake=4', 'ro')[0] ?? '', /^warn: .* has no numa=fake=4: /)
})

test('a RAM file that is gone is for other checks', () => {
  const gone = () => {
    throw new UsageError('gone')
  }
  assert.deepEqual(checkNextNodes({ current: '', next: 'numa=off' }, GUESTS, gone), [])
})
