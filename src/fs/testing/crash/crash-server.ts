/** Servers over the small file system in which each crash happens: the first, and those after a crash. */
import { Errno } from '../../../values/errno.ts'
import { byteString, type Ino, ROOT_INO } from '../../../values/ids.ts'
import { KIB } from '../../../values/units.ts'
import { type Caller, FileSystem } from '../../file-system.ts'
import { Image } from '../../image/image.ts'
import { geometryOf } from '../../image/image-format.ts'
import type { Trace } from '../../image/writer.ts'
import { State } from '../../state/state.ts'
import {
  copyOf,
  type Event,
  type Mistakes,
  RecordedJournal,
  RecordedStore,
  type ServerRemains,
} from './recording.ts'

export const AREA_BYTES = 64 * KIB
export const GEOMETRY = geometryOf(AREA_BYTES)
export const TOTAL_BLOCKS = 24
export const EXPECTED = { storeKind: 'memfd', totalBlocks: TOTAL_BLOCKS }

export interface CrashServer {
  readonly area: Uint8Array
  readonly image: Image<State>
  readonly fs: FileSystem
  readonly store: RecordedStore
  readonly events: Event[]
  /** Whether the kernel's connection outlived the server, so that the kernel still references orphans. */
  readonly refersToOrphans: boolean
  readonly mistakes: Mistakes
  rq(): Caller
  /** The inode at a path below the root, names separated by slashes. */
  at(path: string): Ino | undefined
}

export const openImage = (area: Uint8Array, trace?: Trace): Image<State> =>
  Image.open(area, EXPECTED, new State(), trace)

const NEVER_USED_BEFORE = 1_000_000n

/**
 * A server over `remains`, which it changes. `refersToOrphans`: the kernel's connection outlived the server,
 * and the kernel references them; on a new connection it does not. Throws what opening the image throws.
 */
export function openServer(
  remains: ServerRemains,
  refersToOrphans: boolean,
  mistakes: Mistakes = {},
): CrashServer {
  const { area } = remains
  const events: Event[] = []
  const image = openImage(area, (store) => events.push({ kind: 'store', store }))
  const store = new RecordedStore(remains.memory, events, mistakes)
  const fs = new FileSystem(new RecordedJournal(image, events, mistakes), store)
  let requests = NEVER_USED_BEFORE
  const rq = (): Caller => {
    requests++
    const now = { seconds: Number(requests), nanoseconds: 0 }
    return { origin: { unique: requests, epoch: 1 }, uid: 0, gid: 0, now }
  }
  const at = (path: string): Ino | undefined => {
    let ino: Ino = ROOT_INO
    for (const name of path.split('/')) {
      const found = fs.lookup(ino, byteString(name))
      if (found instanceof Errno) return undefined
      ino = found.ino
    }
    return ino
  }
  const server = { area, image, fs, store, events, refersToOrphans, mistakes, rq, at }
  fs.recover({ origin: { unique: 0n, epoch: 1 } }, () => refersToOrphans)
  return server
}

/** What would be left if the server died now. */
export const remainsOf = ({ area, store }: CrashServer): ServerRemains =>
  copyOf({ area, memory: store.memory })
