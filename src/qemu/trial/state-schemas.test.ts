import assert from 'node:assert/strict'
import { test } from 'node:test'
import { otherStates, type States } from './state-schemas.ts'

const field = (name: string, size = 4, version_id = 0) => ({ field: name, version_id, size })
const states = (
  version_id: number,
  minimum_version_id: number,
  ...Fields: ReturnType<typeof field>[]
): States => new Map([['e1000', { name: 'e1000', version_id, minimum_version_id, Fields }]])

test('a version that the next QEMU does not read is a problem, newer or older', () => {
  const running = states(2, 1, field('a'))
  assert.deepEqual(otherStates(running, running), { problems: [], remarks: [] })
  for (const [next, words] of [
    [states(1, 1, field('a')), 'reads version 1 of the state of e1000'],
    [states(4, 3, field('a')), 'reads versions 3 to 4 of the state of e1000'],
    [new Map() as States, 'has no state of device e1000'],
  ] as const) {
    const { problems } = otherStates(running, next)
    assert.equal(problems.length, 1)
    assert.ok(problems[0]?.includes(words), problems[0])
  }
})

test('fields that differ are named, fields of a newer version are none of these', () => {
  const running = states(2, 1, field('a'), field('b'))
  const newer = otherStates(running, states(3, 1, field('a'), field('b'), field('c', 4, 3)))
  assert.deepEqual(newer, { problems: [], remarks: [] })
  for (const next of [states(2, 1, field('a')), states(2, 1, field('a'), field('b', 8))]) {
    const { problems, remarks } = otherStates(running, next)
    assert.deepEqual(problems, [])
    assert.match(remarks.join(), /\(e1000: b of 4 bytes\)/)
  }
})

test('a part of a state is compared by its name', () => {
  const part = (version_id: number) => ({ name: 'e1000/tso', version_id, minimum_version_id: version_id })
  const having = (...Subsections: ReturnType<typeof part>[]): States =>
    new Map([['e1000', { name: 'e1000', version_id: 2, minimum_version_id: 1, Subsections }]])
  assert.match(otherStates(having(part(2)), having(part(1))).problems.join(), /of the state of e1000\/tso/)
  assert.match(otherStates(having(part(2)), having()).remarks.join(), /\(e1000: e1000\/tso\)/)
  assert.deepEqual(otherStates(having(), having(part(2))), { problems: [], remarks: [] })
})

test('the name of a field and the size that a struct has in C are no difference, its fields are', () => {
  const struct = (name: string, size: number, ...Fields: ReturnType<typeof field>[]) => ({
    ...field(name, size),
    Description: { name: 'PCIDevice', version_id: 2, minimum_version_id: 1, Fields },
  })
  const running = states(2, 1, struct('parent_obj', 2736, field('config', 256)))
  assert.deepEqual(otherStates(running, states(2, 1, struct('dev', 2768, field('words', 256)))), {
    problems: [],
    remarks: [],
  })
  const { remarks } = otherStates(running, states(2, 1, struct('dev', 2736, field('config', 4096))))
  assert.match(remarks.join(), /\(e1000: config of 256 bytes\)/)
})
