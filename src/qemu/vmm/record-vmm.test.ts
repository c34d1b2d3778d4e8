/** Tests of the RAM files that another VMM is recorded with. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../values/errors.ts'
import { findVmmRam } from './record-vmm.ts'

const MIB = 1 << 20
const BYTES: Readonly<Record<string, number>> = {
  '/mnt/gm/a': 64 * MIB,
  '/mnt/gm/b': 2 * MIB,
  '/mnt/gm/odd': 3 * MIB,
  '/mnt/gm/empty': 0,
  '/mnt/window/a': 64 * MIB,
}
const find = (...typed: string[]) =>
  findVmmRam(typed, {
    cwd: '/mnt/gm',
    mounts: ['/mnt/gm', '/mnt/window'],
    bytesOf: (path) => BYTES[path],
    kindOf: (mount) => (mount === '/mnt/window' ? 'devmem' : 'dax'),
  })

test('each file has the size that it has, in the order in which they are typed', () => {
  assert.deepEqual(find('a', '/mnt/gm/b'), [
    { id: 'ram0', path: '/mnt/gm/a', sizeBytes: 64 * MIB },
    { id: 'ram1', path: '/mnt/gm/b', sizeBytes: 2 * MIB },
  ])
})

test('a file that cannot be its RAM is refused by name', () => {
  for (const [typed, words] of [
    [['/tmp/a'], /^--ram \/tmp\/a is in no mounted pool: \/mnt\/gm, \/mnt\/window$/],
    [['missing'], /missing has no size: 'truncate -s SIZE \/mnt\/gm\/missing' first/],
    [['empty'], /empty has no size/],
    [['odd'], /odd: its size is not a multiple of 2 MiB/],
    [['a', 'a'], /\/mnt\/gm\/a is given twice/],
    [['/mnt/window/a'], /only QEMU is given its window of \/dev\/mem/],
  ] as const)
    assert.throws(
      () => find(...typed),
      (error) => error instanceof UsageError && words.test(error.message),
      String(words),
    )
})
