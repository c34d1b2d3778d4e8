/** Tests of the verdict on a guest's ticks. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { Log } from '../machine/log.ts'
import { GuestLog } from './guest-log.ts'

const never = new Promise<never>(() => {})

test('a line cut in two by the jump is one tick, and the silence before its end is the blackout', async () => {
  const log = new Log('guest', never)
  for (let tick = 1; tick < 5; tick++) log.append(`tick ${tick} bad 0\n`)
  log.append('tick 5')
  await setTimeout(60)
  log.append(' bad 0\ntick 6 bad 0\n')
  const { silenceMs, ...rest } = new GuestLog(log).continuity()
  assert.deepEqual(rest, {
    ticks: 6,
    before: 4,
    after: 5,
    badWords: 0,
    computedAgain: 0,
    silences: [],
    broken: undefined,
  })
  assert.ok(silenceMs >= 55, `${silenceMs} ms`)
})

test('each tick has the time of its own line, also where the guest was reset in the middle of one', () => {
  const log = new Log('guest', never)
  const lines = ['tick 1 bad 0\n', 'tick 2 bad 0\n', 'titick 1 bad 0\n', 'tick 2 bad 0\n']
  for (const line of lines) log.append(line)
  const { ticks } = new GuestLog(log).evidence()
  assert.deepEqual(
    ticks.map(({ atMs }) => atMs),
    log.pieces.map(({ atMs }) => atMs),
  )
})

test('a tick has the time at which the console told it, where the log came later', async () => {
  const log = new Log('guest', never)
  log.append('tick 1 bad 0\n')
  await setTimeout(30)
  const toldAtMs = performance.now()
  await setTimeout(60)
  log.append('tick 2 bad 0\ntick 3 bad 0\n')
  const told = new GuestLog(log, (tick) => (tick === 2 ? toldAtMs : undefined)).continuity()
  const untold = new GuestLog(log).continuity()
  assert.equal(untold.after, 2)
  assert.ok(untold.silenceMs - told.silenceMs >= 20, `${told.silenceMs} ms of ${untold.silenceMs} ms`)
  assert.deepEqual([told.ticks, told.broken], [3, undefined])
  // One that the console tells last was not late.
  assert.equal(new GuestLog(log, () => performance.now()).continuity().silenceMs, untold.silenceMs)
})

test('a guest that started over, lost a word or never spoke is broken', () => {
  const judge = (text: string): string | undefined => {
    const log = new Log('guest', never)
    log.append(text)
    return new GuestLog(log).continuity().broken
  }
  assert.match(judge('tick 1 bad 0\ntick 2 bad 0\ntick 1 bad 0\n') ?? '', /tick 1 where tick 3/)
  assert.match(judge('tick 1 bad 0\ntick 2 bad 9\n') ?? '', /9 bad words/)
  const told = judge('tick 1 bad 0\ntick 2 bad 1\nword 4194304 held 67305985\ntick 3 bad 1\n')
  assert.equal(told, '1 bad words at tick 2 (the word at 0x00400000 held 0x04030201)')
  assert.equal(judge('SeaBIOS\n'), 'no tick was seen')
})

test('ticks are waited for from now on', async () => {
  const log = new Log('guest', never)
  const guest = new GuestLog(log)
  log.append('tick 1 bad 0\ntick 2 bad 0\n')
  const wait = guest.waitForTicks(2, 2000)
  let done = false
  wait.then(() => {
    done = true
  })
  log.append('tick 3 bad 0\n')
  await setTimeout(5)
  assert.equal(done, false)
  log.append('tick 4 bad 0\n')
  await wait
})
