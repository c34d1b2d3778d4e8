/** Tests of comparing two folders by their descriptions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countNames, differences } from './tree.ts'

const TOLD = './one f 644\n./two d 755\nd41d8 ./one'

test('equal descriptions do not differ; others differ in lines, or in their order alone', () => {
  assert.deepEqual(differences(TOLD, TOLD), [])
  assert.deepEqual(differences(TOLD, TOLD.replace('644', '600')), ['gone: ./one f 644', 'new: ./one f 600'])
  assert.equal(differences(TOLD, TOLD.split('\n').toReversed().join('\n')).length, 1)
  assert.equal(differences(TOLD, `${TOLD}\nd41d8 ./one`).length, 1, 'a line twice')
})

test('names are the lines of the listing, not of the sums', () => {
  assert.equal(countNames(TOLD), 2)
})
