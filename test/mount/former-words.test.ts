/** Tests of the words that the oldest tree gets. No mount is needed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formerWords } from './former-words.ts'

const former = (line: string): string => formerWords(line.split(' ')).join(' ')

test('a time is milliseconds, in an option of that name', () => {
  assert.equal(former('live-update --vmm-only --timeout 5s'), 'live-update --vmm-only --timeout-ms 5000')
  assert.equal(former('resume --timeout 500ms --json'), 'resume --timeout-ms 500 --json')
})

test('words of another program stay', () => {
  assert.equal(former('run -- qemu --timeout 5s'), 'run -- qemu --timeout 5s')
})
