/** Tests of following a log. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HostError, Log } from './log.ts'

const never = new Promise<never>(() => {})
const quick = { timeoutMs: 2000 }

test('a wait ends when the text comes, however it is cut', async () => {
  const log = new Log('guest', never)
  const wait = log.waitFor(/tick (\d+)\n/, quick)
  log.append('ti')
  log.append('ck 7')
  log.append('\n')
  assert.equal((await wait)[1], '7')
  assert.equal((await log.waitFor(/ck/, quick)).index, 2)
})

test('a line that is not whole yet does not count, but for the last of a program that has ended', async () => {
  const log = new Log('guest', never)
  log.append('tick 7 bad 0')
  await assert.rejects(log.waitFor(/bad 0/, { timeoutMs: 5 }), HostError)
  log.append('\n')
  await log.waitFor(/bad 0/, quick)
  log.append('killed')
  log.close('SIGKILL')
  await log.waitFor(/killed/, quick)
})

test('text before `from` does not count', async () => {
  const log = new Log('guest', never)
  log.append('tick 1\n')
  const wait = log.waitFor(/tick \d/, { ...quick, from: log.text.length })
  log.append('tick 2\n')
  assert.equal((await wait)[0], 'tick 2')
})

test('a wait fails at once when the program ends or the host fails, and in time otherwise', async () => {
  const ended = new Log('guest', never)
  ended.append('no such file')
  const wait = ended.waitFor(/tick/, quick)
  ended.close(1)
  await assert.rejects(wait, /last words: "no such file" \(it ended: 1\)/)

  const host = Promise.withResolvers<never>()
  const log = new Log('guest', host.promise)
  const waits = [log.waitFor(/tick/, quick), log.waitForEnd(2000)]
  host.reject(new HostError('the host is gone'))
  for (const each of waits) await assert.rejects(each, /the host is gone/)

  await assert.rejects(
    new Log('guest', never).waitFor(/tick/, { timeoutMs: 5 }),
    /did not print .*waited 0.005 s/,
  )
})

test('a program that is started again under the same name is waited for anew', async () => {
  const log = new Log('guest', never)
  log.close(0)
  assert.equal(await log.waitForEnd(10), 0)
  log.reopen()
  const wait = log.waitForEnd(2000)
  log.close('SIGTERM')
  assert.equal(await wait, 'SIGTERM')
})
