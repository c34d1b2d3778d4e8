import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { optionValue, parseOptionString, printOptionString, withValue } from './option-string.ts'

const pairs = fc
  .tuple(
    fc.option(fc.string(), { nil: undefined }),
    fc.array(
      fc.record(
        { key: fc.stringMatching(/^[a-z][a-z0-9._-]*$/), value: fc.string() },
        { noNullPrototype: true },
      ),
    ),
  )
  .map(([implied, rest]) =>
    // An implied first value cannot hold an equals sign: QEMU would take what is before it for a key.
    implied === undefined || implied.includes('=') ? rest : [{ key: '', value: implied }, ...rest],
  )
  .filter((all) => all.length > 0)

test('what is printed is read as the same, whatever commas the values hold', () => {
  fc.assert(
    fc.property(pairs, (all) => {
      assert.deepEqual(parseOptionString(printOptionString(all)), all)
    }),
  )
})

test('what was typed is printed as it was typed', () => {
  for (const text of [
    'memory-backend-file,id=ram,size=1G,mem-path=/mnt/a,,b/ram,share=on',
    'unix:/run/x,server,wait=off',
    'q35',
    'type=q35,accel=kvm:tcg',
    'file=a=b,if=virtio',
    '',
  ]) {
    assert.equal(printOptionString(parseOptionString(text)), text)
  }
})

test('a value is found by its key, the last one counts, a bare word is a switch', () => {
  const options = parseOptionString('socket,id=a,path=/x,,y,server,id=b')
  assert.equal(optionValue(options, 'path'), '/x,y')
  assert.equal(optionValue(options, 'id'), 'b')
  assert.equal(optionValue(options, 'server'), 'on')
  assert.equal(optionValue(options, 'wait'), undefined)
  assert.equal(printOptionString(withValue(options, 'id', 'c,d')), 'socket,id=a,path=/x,,y,server,id=c,,d')
  assert.equal(
    printOptionString(withValue(options, 'wait', 'off')),
    'socket,id=a,path=/x,,y,server,id=b,wait=off',
  )
})
