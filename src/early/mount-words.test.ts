import assert from 'node:assert/strict'
import test from 'node:test'
import { earlyPool, resumingMount } from './mount-words.ts'

const read = (line: string) => resumingMount(line.split(' ').filter(Boolean))

test('a mount that resumes is read in each order of its words', () => {
  const expected = { pool: 'guestmemfs', mountPoint: '/mnt', options: ['store=dax', 'ro'] }
  for (const line of [
    'mount guestmemfs /mnt -o store=dax -o ro --resume',
    'mount --resume -o store=dax guestmemfs -o ro /mnt',
    'mount --json guestmemfs -o store=dax /mnt --resume -o ro',
  ])
    assert.deepEqual(read(line), expected, line)
  assert.deepEqual(read('mount guestmemfs /mnt --resume'), { ...expected, options: [] })
  // What follows -o is its value, whatever it is.
  assert.deepEqual(read('mount guestmemfs /mnt --resume -o --json')?.options, ['--json'])
})

test('other commands, and words that need the parser, are left to it', () => {
  for (const line of [
    '',
    'resume /mnt',
    'mount guestmemfs /mnt -o store=dax',
    'mount guestmemfs --resume',
    'mount guestmemfs /mnt /other --resume',
    'mount guestmemfs /mnt --resume -o',
    'mount guestmemfs /mnt --resume -ostore=dax',
    'mount guestmemfs /mnt --resume --help',
    'mount guestmemfs /mnt -- --resume',
  ])
    assert.equal(read(line), undefined, line)
})

test('a remount resumes nothing', () => {
  assert.equal(read('mount guestmemfs /mnt --resume -o remount,ro'), undefined)
  assert.equal(read('mount guestmemfs /mnt --resume -o ro,remount'), undefined)
})

test('the words of the early start are those of its unit alone', () => {
  assert.equal(earlyPool(['early', 'guestmemfs']), 'guestmemfs')
  for (const words of [[], ['early'], ['early', 'a', 'b'], ['mount', 'early'], ['earl', 'a']])
    assert.equal(earlyPool(words), undefined, words.join(' '))
})
