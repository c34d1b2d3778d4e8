/**
 * How a process maps guest RAM. The store decides, the server shows, `guestmemfs.map` reports and QEMU's
 * command line follows: all of them use `Mapping['via']`.
 */
import type { Fd } from './ids.ts'

export type Mapping =
  /** FUSE passes an mmap of the file through to `fd`. */
  | { readonly via: 'passthrough'; readonly fd: Fd }
  /** The file's name is a symlink to a device-dax node. There is no device before the link is read. */
  | {
      readonly via: 'dax-node'
      readonly path: string
      readonly device: { readonly major: number; readonly minor: number } | undefined
    }
  /** A window of /dev/mem, which `guestmemfs run` puts in the file's place. */
  | { readonly via: 'devmem'; readonly path: string; readonly offsetBytes: number }
  /** Not at all: processes read and write the file through the server. */
  | { readonly via: 'none' }

export type Via = Mapping['via']

/** Of a memory object: its mapping, or the state in which it has none. */
export type MappedBy = Via | 'incoming' | 'lost'

/**
 * `kind` of `guestmemfs.map`. The spelling is older than the names here, and other versions' programs read
 * it.
 */
export const MAP_KINDS = {
  passthrough: 'file',
  'dax-node': 'device',
  devmem: 'window',
  none: 'none',
  incoming: 'awaited',
  lost: 'lost',
} as const satisfies Record<MappedBy, string>

export type MapKind = (typeof MAP_KINDS)[MappedBy]

const BY_KIND = new Map(Object.entries(MAP_KINDS).map(([by, kind]) => [kind, by as MappedBy]))

export const mappedBy = (kind: MapKind): MappedBy => BY_KIND.get(kind) as MappedBy
