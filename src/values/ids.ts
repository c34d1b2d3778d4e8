/**
 * The branded numbers that must not be mixed up. Numbers of the FUSE protocol are narrowed in `narrow.ts`
 * alone.
 */
declare const brand: unique symbol
type Branded<T, B extends string> = T & { readonly [brand]: B }

/** Inode number: 1 is the root; a number is used again after its inode is gone, with another generation. */
export type Ino = Branded<number, 'Ino'>
/**
 * What the kernel names an inode by for one connection: `generation << 32 | ino`; the root is 1
 * (FUSE_ROOT_ID).
 */
export type NodeId = Branded<bigint, 'NodeId'>
/** A memory object in a store: one memfd, or one set of extents. Never a file: a store has no names. */
export type ObjectId = Branded<number, 'ObjectId'>
/** A file descriptor of this process. */
export type Fd = Branded<number, 'Fd'>
/** A FUSE backing id: belongs to the connection, not to the process that made it. */
export type BackingId = Branded<number, 'BackingId'>

/**
 * A file name, symlink target or xattr name: its bytes one for one as latin1, so that no decoder changes a
 * name.
 */
export type ByteString = Branded<string, 'ByteString'>

export const ROOT_INO = 1 as Ino

export const byteString = (text: string): ByteString =>
  Buffer.from(text, 'utf8').toString('latin1') as ByteString
export const fromBytes = (bytes: Uint8Array): ByteString =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1') as ByteString
export const toBytes = (name: ByteString): Buffer => Buffer.from(name, 'latin1')
/** For messages: the bytes read as UTF-8. */
export const printable = (name: ByteString): string => Buffer.from(name, 'latin1').toString('utf8')
