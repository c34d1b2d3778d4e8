import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkHandover } from './check-handover.ts'
import { POOL } from './testing/facts.ts'

test('kernels whose handover was never tested are distinguished from the one that was', () => {
  const abi = { kho: 'kho-v4', luo: 'luo-v5', memfd: 'memfd-v2' }
  const findings = (release: string) =>
    checkHandover({
      release,
      pools: [{ ...POOL, store: 'memfd', by: 'luo' }],
      device: 'ready',
      now: abi,
      next: abi,
      words: ['kho=on', 'liveupdate=on'],
      availableBytes: 2 ** 30,
    }).map(({ severity, message }) => [severity, message.split(':')[0]])
  const warned = (release: string) => [
    'warn',
    `handing memory over was shown on Linux 7.3, and never run on Linux ${release}`,
  ]
  assert.deepEqual(findings('7.3.4-luo'), [])
  assert.deepEqual(findings('8.0.0'), [])
  assert.deepEqual(findings('7.2.9'), [warned('7.2')])
  assert.deepEqual(findings('7.0.1-rc3'), [warned('7.0')])
  assert.deepEqual(findings('6.19.14'), [
    ['error', 'Linux 6.19 may hand over zeroes where a guest writes while its memory is preserved'],
  ])
})
