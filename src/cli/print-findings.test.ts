import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fail, ok, warn } from '../values/finding.ts'
import { doctorWords, fsckWords, preflightWords } from './print-findings.ts'

test('each command prints findings in the words that scripts know', () => {
  const findings = [ok('a', 'one'), warn('b', 'two', 'do this'), fail('c', 'three')]
  assert.deepEqual(JSON.parse(JSON.stringify(findings.map(doctorWords))), [
    { name: 'a', state: 'ok', detail: 'one' },
    { name: 'b', state: 'warn', detail: 'two', advice: 'do this' },
    { name: 'c', state: 'missing', detail: 'three' },
  ])
  assert.deepEqual(findings.map(fsckWords), [
    { severity: 'note', where: 'a', message: 'one' },
    { severity: 'warning', where: 'b', message: 'two' },
    { severity: 'error', where: 'c', message: 'three' },
  ])
  assert.deepEqual(findings.slice(1).map(preflightWords), [
    { severity: 'warn', subject: 'b', message: 'two' },
    { severity: 'refuse', subject: 'c', message: 'three' },
  ])
})
