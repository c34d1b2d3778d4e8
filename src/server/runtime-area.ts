/**
 * What the next server needs of one FUSE connection, because the kernel sends INIT only once: what was
 * negotiated, how often the kernel has looked up each inode, and which backing id each inode has. It is in a
 * memfd that the keeper holds, valid for that connection alone; the persistent image holds nothing of it.
 *
 * Crash argument. The kernel counts a lookup when it has read the server's reply, so a count may change only
 * if the reply arrives. The server therefore first stores new counts as *pending* under the request's id,
 * then sends the reply, then carries them over and clears the pending mark. A next server that finds the mark
 * asks the kernel to re-send what was not answered: if the kernel sends that request again, its reply never
 * arrived and the pending counts are dropped; if not, it did, and they are carried over (again, if need be:
 * they are absolute). Either way no count is ever off by one.
 */
import { INO_MAX } from '../fs/state/limits.ts'
import { UsageError } from '../values/errors.ts'
import type { BackingId, Ino } from '../values/ids.ts'

/** The bytes 'GMFS', read as one little-endian word. */
const MAGIC = 0x53464d47
/**
 * This version reads from `oldest` on, and writes `newest`. Should they come to differ, `guestmemfs upgrade`
 * is to write the newer one for a connection that exists.
 */
export const RUNTIME_AREA_FORMAT = { oldest: 1, newest: 1 } as const
const MAX_INODES = INO_MAX + 1
/** A READDIRPLUS reply of 1 MiB holds fewer entries than this. */
const MAX_PENDING = 8192
const NEGOTIATED_BYTES = 1024

/** Word offsets (u32) of the header; the slots and the pending list follow on pages of their own. */
const WORD = {
  magic: 0,
  version: 1,
  epoch: 2,
  negotiatedLength: 3,
  inFlightLow: 4,
  inFlightHigh: 5,
  attempts: 6,
  pendingArmed: 7,
  pendingLow: 8,
  pendingHigh: 9,
  pendingCount: 10,
  backingIntent: 11,
  lastBackingId: 12,
  usedInodes: 13,
} as const
const NEGOTIATED_WORD = 256
const PENDING_WORD = NEGOTIATED_WORD + NEGOTIATED_BYTES / 4
const PENDING_WORDS = 2
const SLOT_WORD = PENDING_WORD + MAX_PENDING * PENDING_WORDS
/** Lookups of the inode shown as a file, lookups of it shown as a symlink, its backing id. */
const SLOT_WORDS = 3
const LOOKUPS_WORD = { file: 0, symlink: 1 } as const
const BACKING_WORD = 2
/** In a pending entry's first word, above any inode number. */
const SYMLINK_BIT = 2 ** 31
export const RUNTIME_AREA_BYTES = (SLOT_WORD + MAX_INODES * SLOT_WORDS) * 4

/**
 * What the kernel is shown an inode as. Guest RAM may be a symlink to what maps it: another inode than the
 * file it was.
 */
export type ShownAs = 'file' | 'symlink'

export interface PendingLookup {
  readonly ino: Ino
  readonly as: ShownAs
  readonly count: number
}

export class RuntimeArea {
  readonly #bytes: Uint8Array
  readonly #words: Uint32Array
  /** The request at which a former server died. It need not be the first that the kernel sends again. */
  readonly #former: { readonly low: number; readonly high: number; attempts: number }

  /**
   * Throws UsageError where the area has a format that this version does not read. Nothing was stored into
   * it.
   */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    const { oldest, newest } = RUNTIME_AREA_FORMAT
    const version = this.#load(WORD.version)
    if (this.isEstablished && (version < oldest || version > newest))
      throw new UsageError(
        `its runtime area has format ${version}, and this version of guestmemfs reads ${newest}: mount it with the version that made it, or unmount it with that one first`,
      )
    const [low, high, attempts] = [WORD.inFlightLow, WORD.inFlightHigh, WORD.attempts].map((word) =>
      this.#load(word),
    ) as [number, number, number]
    this.#former = { low, high, attempts }
  }

  /**
   * True once an INIT has been answered: a server that starts now is the next one on an existing connection.
   */
  get isEstablished(): boolean {
    return this.#load(WORD.magic) === MAGIC
  }

  get epoch(): number {
    return this.#load(WORD.epoch)
  }

  /**
   * `negotiated` is kept as JSON: it is read once, by a next server that may be a newer version of this code.
   */
  establish(epoch: number, negotiated: unknown): void {
    const text = Buffer.from(JSON.stringify(negotiated), 'utf8')
    if (text.length > NEGOTIATED_BYTES) throw new RangeError(`negotiated values take ${text.length} bytes`)
    this.#bytes.set(text, NEGOTIATED_WORD * 4)
    this.#store(WORD.negotiatedLength, text.length)
    this.#store(WORD.epoch, epoch)
    this.#store(WORD.version, RUNTIME_AREA_FORMAT.newest)
    this.#store(WORD.magic, MAGIC)
  }

  get negotiated(): unknown {
    const start = NEGOTIATED_WORD * 4
    const text = this.#bytes.subarray(start, start + this.#load(WORD.negotiatedLength))
    return JSON.parse(Buffer.from(text).toString('utf8'))
  }

  // --- the request under way, so that one that kills every server is answered EIO in the end ---

  /** Returns how often this request has been begun, this time included. */
  beginRequest(unique: bigint): number {
    const low = Number(unique & 0xffffffffn)
    const high = Number(unique >> 32n)
    const again = this.#words[WORD.inFlightLow] === low && this.#words[WORD.inFlightHigh] === high
    const isFormer = this.#former.low === low && this.#former.high === high
    const before = again ? (this.#words[WORD.attempts] as number) : isFormer ? this.#former.attempts : 0
    const attempts = before + 1
    this.#words[WORD.inFlightLow] = low
    this.#words[WORD.inFlightHigh] = high
    this.#words[WORD.attempts] = attempts
    return attempts
  }

  /** The former server was killed from outside: the request that it was handling did not cause that. */
  resetAttempts(): void {
    this.#words[WORD.attempts] = 0
    this.#former.attempts = 0
  }

  // --- lookup counts ---

  lookups(ino: Ino, as: ShownAs): number {
    return this.#load(SLOT_WORD + ino * SLOT_WORDS + LOOKUPS_WORD[as])
  }

  setLookups(ino: Ino, as: ShownAs, count: number): void {
    this.#raiseUsedInodes(ino)
    this.#store(SLOT_WORD + ino * SLOT_WORDS + LOOKUPS_WORD[as], count)
  }

  isReferenced(ino: Ino): boolean {
    return this.lookups(ino, 'file') > 0 || this.lookups(ino, 'symlink') > 0
  }

  get maxPending(): number {
    return MAX_PENDING
  }

  armPending(unique: bigint, lookups: readonly PendingLookup[]): void {
    lookups.forEach((lookup, index) => {
      const key = lookup.as === 'symlink' ? SYMLINK_BIT + lookup.ino : lookup.ino
      this.#words[PENDING_WORD + index * PENDING_WORDS] = key
      this.#words[PENDING_WORD + index * PENDING_WORDS + 1] = lookup.count
    })
    this.#words[WORD.pendingCount] = lookups.length
    this.#words[WORD.pendingLow] = Number(unique & 0xffffffffn)
    this.#words[WORD.pendingHigh] = Number(unique >> 32n)
    this.#store(WORD.pendingArmed, 1)
  }

  /** The request whose lookups are pending, if any. */
  get pending(): bigint | undefined {
    if (this.#load(WORD.pendingArmed) === 0) return undefined
    return (BigInt(this.#load(WORD.pendingHigh)) << 32n) | BigInt(this.#load(WORD.pendingLow))
  }

  /** Carries the pending counts over. Idempotent until `dropPending`, which ends it. */
  applyPending(): void {
    if (this.#load(WORD.pendingArmed) === 0) return
    const count = this.#load(WORD.pendingCount)
    for (let index = 0; index < count; index++) {
      const word = PENDING_WORD + index * PENDING_WORDS
      const key = this.#load(word)
      const as = key >= SYMLINK_BIT ? 'symlink' : 'file'
      this.setLookups((key % SYMLINK_BIT) as Ino, as, this.#load(word + 1))
    }
    this.dropPending()
  }

  dropPending(): void {
    this.#store(WORD.pendingArmed, 0)
  }

  // --- backing ids ---

  backingId(ino: Ino): BackingId | undefined {
    const stored = this.#load(SLOT_WORD + ino * SLOT_WORDS + BACKING_WORD)
    return stored === 0 ? undefined : (stored as BackingId)
  }

  setBackingId(ino: Ino, id: BackingId | undefined): void {
    this.#raiseUsedInodes(ino)
    this.#store(SLOT_WORD + ino * SLOT_WORDS + BACKING_WORD, id ?? 0)
    if (id !== undefined) this.#store(WORD.lastBackingId, id)
  }

  get lastBackingId(): number {
    return this.#load(WORD.lastBackingId)
  }

  /**
   * Set around FUSE_DEV_IOC_BACKING_OPEN: an id that the kernel made and no server stored would hold memory
   * until the connection ends.
   */
  set backingIntent(open: boolean) {
    this.#store(WORD.backingIntent, open ? 1 : 0)
  }

  get backingIntent(): boolean {
    return this.#load(WORD.backingIntent) !== 0
  }

  /** No inode from this number on has a count or a backing id. */
  get usedInodes(): number {
    return this.#load(WORD.usedInodes)
  }

  *knownInodes(): IterableIterator<Ino> {
    const used = this.usedInodes
    for (let ino = 1; ino < used; ino++) {
      if (this.isReferenced(ino as Ino) || this.backingId(ino as Ino) !== undefined) yield ino as Ino
    }
  }

  #raiseUsedInodes(ino: Ino): void {
    if (ino >= MAX_INODES) throw new RangeError(`inode ${ino} is beyond the runtime area`)
    if (ino >= this.#load(WORD.usedInodes)) this.#store(WORD.usedInodes, ino + 1)
  }

  #load(word: number): number {
    return Atomics.load(this.#words, word)
  }

  #store(word: number, value: number): void {
    Atomics.store(this.#words, word, value)
  }
}
