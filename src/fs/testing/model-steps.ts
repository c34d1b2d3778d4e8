/** The random steps that a file system and its reference model take side by side. */
import fc from 'fast-check'
import { BLOCK_BYTES } from '../../stores/store.ts'

/** What a step is about is chosen by number among what exists then, so that any list of steps makes sense. */
const at = fc.nat(1000)
const place = fc.record({ directory: at, name: fc.constantFrom('a', 'b', 'c', 'd') })
/** Contents are modelled for the first bytes of a block alone: files end there, or are guest RAM. */
const small = fc.nat(3000)
const size = fc.oneof(
  small,
  fc.constantFrom(0, BLOCK_BYTES, 2 * BLOCK_BYTES + 5, 4 * BLOCK_BYTES, 7 * BLOCK_BYTES),
)
export const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('create' as const), place }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('mkdir' as const), place }) },
  fc.record({ kind: fc.constant('symlink' as const), place }),
  fc.record({ kind: fc.constant('link' as const), node: at, place }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unlink' as const), place }) },
  fc.record({ kind: fc.constant('rmdir' as const), place }),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('rename' as const),
      place,
      to: place,
      mode: fc.constantFrom('plain' as const, 'plain' as const, 'noreplace' as const, 'exchange' as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('truncate' as const), node: at, size }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      node: at,
      offset: small,
      length: fc.integer({ min: 1, max: 500 }),
      byte: fc.integer({ min: 1, max: 255 }),
    }),
  },
  fc.record({
    kind: fc.constant('punch' as const),
    node: at,
    offset: small,
    length: fc.integer({ min: 1, max: 500 }),
  }),
  fc.record({ kind: fc.constant('chmod' as const), node: at, mode: fc.nat(0o7777) }),
  fc.record({
    kind: fc.constant('setxattr' as const),
    node: at,
    name: fc.constantFrom('user.x', 'user.y'),
    value: fc.string({ maxLength: 9 }),
  }),
  fc.record({
    kind: fc.constant('removexattr' as const),
    node: at,
    name: fc.constantFrom('user.x', 'user.y'),
  }),
  fc.record({ kind: fc.constant('evict' as const), node: at }),
  fc.record({ kind: fc.constant('fail' as const), block: at }),
  fc.record({ kind: fc.constant('restart' as const) }),
)
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
