/** What a server's end means for the next one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServerHistory } from './server-history.ts'

test('a server that was killed from outside did nothing wrong; one that ended by itself may again', () => {
  const history = new ServerHistory()
  history.ended({ kind: 'died', how: 'SIGKILL' })
  assert.deepEqual([history.restarts, history.isCrashed, history.mayHaveLostPages], [1, false, false])
  history.ended({ kind: 'died', how: 'exit status 1' })
  assert.deepEqual([history.restarts, history.isCrashed, history.mayHaveLostPages], [2, true, false])
})

test('after SIGBUS pages may be lost until a server has read the image, which may take several', () => {
  const history = new ServerHistory()
  history.ended({ kind: 'died', how: 'SIGBUS' })
  history.endedEarly({ kind: 'died', how: 'SIGKILL' })
  assert.deepEqual([history.restarts, history.isCrashed, history.mayHaveLostPages], [1, true, true])
  history.hasReadImage()
  assert.equal(history.mayHaveLostPages, false)
  history.endedEarly({ kind: 'died', how: 'SIGBUS' })
  assert.equal(history.mayHaveLostPages, true, 'the first server of a takeover found it')
})
