import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fail, ok, warn } from '../values/finding.ts'
import { findingOutput } from './json/finding-output.ts'
import { doctorWords, fsckWords } from './print-findings.ts'

const FINDINGS = [ok('a', 'one'), warn('b', 'two', 'do this'), fail('c', 'three')]

test('each command prints findings in its words', () => {
  assert.deepEqual(JSON.parse(JSON.stringify(FINDINGS.map(doctorWords))), [
    { name: 'a', state: 'ok', detail: 'one' },
    { name: 'b', state: 'warn', detail: 'two', advice: 'do this' },
    { name: 'c', state: 'missing', detail: 'three' },
  ])
  assert.deepEqual(FINDINGS.map(fsckWords), [
    { severity: 'note', where: 'a', message: 'one' },
    { severity: 'warning', where: 'b', message: 'two' },
    { severity: 'error', where: 'c', message: 'three' },
  ])
})

test('with --json they are the same in all commands, and each key is there', () => {
  assert.deepEqual(FINDINGS.map(findingOutput), [
    { severity: 'ok', subject: 'a', message: 'one', advice: null },
    { severity: 'warn', subject: 'b', message: 'two', advice: 'do this' },
    { severity: 'error', subject: 'c', message: 'three', advice: null },
  ])
})
