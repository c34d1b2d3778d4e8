/** Tests of what a campaign runs, and how it continues. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../src/values/errors.ts'
import { campaignTable, planCampaign, remaining } from './campaign.ts'
import type { TreeRun } from './tree-runs.ts'

const run = (scenario: string, more: Partial<TreeRun> = {}): TreeRun => ({
  scenario,
  verdict: 'passed',
  isRepeated: false,
  seconds: 90,
  ...more,
})

test('all scenarios of the tiers run twice, and those that show most five times', () => {
  const plan = planCampaign([])
  for (const name of ['hidden', 'many', 'kho-many']) assert.equal(plan.get(name), 5)
  assert.equal(plan.get('update'), 2)
  assert.ok(!plan.has('boot'))
})

test('what is left is what has not run, in rounds', () => {
  const plan = planCampaign(['hidden=3', 'update=1'])
  assert.deepEqual(remaining(plan, []), ['hidden', 'update', 'hidden', 'hidden'])
  assert.deepEqual(remaining(plan, [run('update'), run('hidden')]), ['hidden', 'hidden'])
  assert.deepEqual(remaining(plan, [run('update'), ...['a', 'b', 'c'].map(() => run('hidden'))]), [])
})

test('a word that names no scenario and a number is refused in one line', () => {
  for (const word of ['hidden', 'hidden=', '=3', 'hidden=3000', 'nothing=2'])
    assert.throws(() => planCampaign([word]), UsageError)
})

test('the table counts failures and repeats', () => {
  const done = [
    run('hidden'),
    run('hidden', { isRepeated: true, seconds: 200 }),
    run('hidden', { verdict: 'failed' }),
  ]
  assert.match(campaignTable(new Map([['hidden', 3]]), done), /\| hidden \| 3 \| 1 \| 1 \| 90 to 200 \|/)
})
