import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  argumentsOf,
  hasOption,
  pairsOf,
  parseCommandLine,
  printCommandLine,
  withoutOption,
} from './command-line.ts'

test('any command line is printed as it was typed', () => {
  const word = fc.oneof(
    fc.constantFrom('-nographic', '-daemonize', '-m', '--object', '-append', '-S', '-', '--', 'disk.img'),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(word), (words) => {
      const argv = ['qemu', ...words]
      assert.deepEqual(printCommandLine(parseCommandLine(argv)), argv)
    }),
  )
})

test("an option's argument is never taken for an option", () => {
  const line = parseCommandLine([
    'qemu',
    '-append',
    '-incoming defer',
    '-serial',
    '-daemonize',
    '-nographic',
    '-incoming',
    'x',
  ])
  assert.equal(hasOption(line, 'daemonize'), false)
  assert.equal(argumentsOf(line, 'incoming').length, 1)
  assert.deepEqual(printCommandLine(withoutOption(line, 'incoming', 'append')), [
    'qemu',
    '-serial',
    '-daemonize',
    '-nographic',
  ])
})

test('one dash or two, JSON or keys', () => {
  const json = '{"qom-type":"memory-backend-file","id":"r","share":true,"size":4096}'
  const line = parseCommandLine(['qemu', '--object', json, '-object', 'rng-random,id=x', 'disk.img'])
  const [first, second] = argumentsOf(line, 'object')
  assert.deepEqual(first && pairsOf(first).find(({ key }) => key === 'share'), { key: 'share', value: 'on' })
  assert.deepEqual(second && pairsOf(second)[0], { key: '', value: 'rng-random' })
  assert.equal(line.arguments.at(-1)?.value, 'disk.img')
})
