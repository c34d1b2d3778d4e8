/** Owns what a keeper is told by whoever starts it: a plain value, which travels as JSON. */
import type { MemorySource } from '../server/messages.ts'
import type { ProcessIdentity } from './pool-record.ts'

export interface KeeperOptions {
  readonly pool: string
  readonly mountPoint: string
  readonly source: MemorySource
  /** Mount flags and options for the kernel, beyond those every pool has. */
  readonly mountFlags: number
  /** Not even what the former kernel may have handed over by this name is wanted. */
  readonly isNew: boolean
  /** Who holds the pool now, if it exists already. */
  readonly predecessor: { readonly role: 'keeper' | 'server'; readonly process: ProcessIdentity } | null
}
