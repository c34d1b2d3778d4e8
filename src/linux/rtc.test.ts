import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { bootId, kernelStartMs } from './boot-id.ts'
import { ownStartMs } from './process.ts'
import { measureClockOffset } from './rtc.ts'

test('the offset is measured where the second changes', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rtc-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'since_epoch')
  writeFileSync(path, '1000\n')
  const measuring = measureClockOffset(path)
  await sleep(60)
  const before = Date.now()
  writeFileSync(path, '1001\n')
  const after = Date.now()
  const measured = await measuring
  assert.ok(measured !== undefined)
  const { offsetMs, uncertaintyMs } = measured
  assert.ok(offsetMs + uncertaintyMs >= before - 1_001_000 - 1, `${offsetMs} ± ${uncertaintyMs}`)
  assert.ok(offsetMs - uncertaintyMs <= after - 1_001_000 + 1, `${offsetMs} ± ${uncertaintyMs}`)
})

test('no RTC, or one that stands still', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rtc-'))
  t.after(() => rmSync(folder, { recursive: true }))
  assert.equal(await measureClockOffset(join(folder, 'none')), undefined)
  writeFileSync(join(folder, 'still'), '5\n')
  assert.equal(await measureClockOffset(join(folder, 'still')), undefined)
})

test('this boot has an id and a beginning, and this process began after it', () => {
  assert.match(bootId(), /^[0-9a-f-]{36}$/)
  const started = ownStartMs()
  assert.ok(kernelStartMs() < started)
  assert.ok(Math.abs(started - performance.timeOrigin) < 2000, `${started} and ${performance.timeOrigin}`)
})
