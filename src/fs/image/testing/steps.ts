/**
 * Random lists of entries as operations would commit them: over few keys, so that many of them state the same
 * one.
 */
import type { ByteString, Ino, ObjectId } from '../../../values/ids.ts'
import type { Entry } from '../../state/entry.ts'
import { type Inode, isSpecial } from '../../state/inode.ts'
import { type FormatVersion, NEWEST_VERSION } from '../image-format.ts'
import type { Random } from './random.ts'

const INOS = 12
const NAMES = 9
export const BLOCKS = 64

export function randomInode(random: Random, ino: Ino, version: FormatVersion = 1): Inode {
  const kind = random.pick([
    ...(['directory', 'file', 'symlink'] as const),
    ...(version > 1 ? (['fifo', 'socket', 'character-device', 'block-device'] as const) : []),
  ])
  const time = () => ({ seconds: random.below(2 ** 31) - 2 ** 30, nanoseconds: random.below(1_000_000_000) })
  return {
    ino,
    generation: random.below(1000),
    kind,
    mode: random.below(0o10000),
    uid: random.below(70_000),
    gid: random.below(70_000),
    links: random.below(4),
    sizeBytes: random.below(2 ** 31) * 1024,
    atime: time(),
    mtime: time(),
    ctime: time(),
    object: kind === 'file' ? (random.below(1000) as ObjectId) : undefined,
    extents:
      kind === 'file'
        ? Array.from({ length: random.below(5) }, () => ({
            start: random.below(BLOCKS),
            count: 1 + random.below(9),
          }))
        : [],
    guestRam: kind === 'file' && random.below(2) === 0,
    gigantic: false,
    rdev: isSpecial(kind) ? random.below(2 ** 31) : 0,
    target: (kind === 'symlink' ? 'x'.repeat(random.below(20)) : '') as ByteString,
  }
}

/** What an image of `version` can hold. */
export function randomEntry(random: Random, version: FormatVersion): Entry {
  const ino = (1 + random.below(INOS)) as Ino
  const name = `name${random.below(NAMES)}` as ByteString
  switch (random.below(version > 1 ? 11 : 9)) {
    case 0:
    case 1:
      return { kind: 'inode', inode: randomInode(random, ino, version) }
    case 2:
      return { kind: 'inode-gone', ino }
    case 3:
    case 4:
      return {
        kind: 'name',
        parent: ino,
        name,
        ino: (1 + random.below(INOS)) as Ino,
        cookie: 3 + random.below(99),
      }
    case 5:
      return { kind: 'name-gone', parent: ino, name }
    case 6:
      return { kind: 'xattr', ino, name, value: random.bytes(random.below(60)) }
    case 7:
      return random.below(2) === 0
        ? { kind: 'xattr-gone', ino, name }
        : {
            kind: 'pool',
            frozen: random.below(2) === 0,
            nextGeneration: random.below(99),
            nextCookie: random.below(99),
          }
    case 9:
      return {
        kind: 'property',
        ino,
        number: 101 + 2 * random.below(3),
        value: random.bytes(random.below(30)),
      }
    case 10:
      return { kind: 'property-gone', ino, number: 101 + 2 * random.below(3) }
    default: {
      const start = random.below(BLOCKS)
      const count = 1 + random.below(BLOCKS - start)
      return {
        kind: 'blocks',
        extent: { start, count },
        state: random.pick(['clean', 'dirty', 'bad'] as const),
      }
    }
  }
}

export const randomEntries = (random: Random, version: FormatVersion = NEWEST_VERSION): Entry[] =>
  Array.from({ length: 1 + random.below(4) }, () => randomEntry(random, version))
