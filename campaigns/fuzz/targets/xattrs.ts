/**
 * Names and values for setxattr, getxattr and removexattr: answers and errnos, never an exception; a refused
 * call changes nothing, and the tables stay consistent. An input is a list of calls: kind, inode, flags,
 * lengths, name, value.
 */
import assert from 'node:assert/strict'
import type { FileSystem } from '../../../src/fs/file-system.ts'
import { checkInvariants, type Fixture, fixture, nameAt, ok, ROOT } from '../../../src/fs/testing/fixture.ts'
import { type ByteString, fromBytes, type Ino, ROOT_INO } from '../../../src/values/ids.ts'
import { Refusal } from '../../../src/values/refusal.ts'
import type { Target } from '../target.ts'

const HEADER_BYTES = 6
const MOST_CALLS = 64
const NAMES = [
  'user.x',
  'trusted.y',
  'security.z',
  'system.posix_acl_access',
  'guestmemfs.pool',
  'guestmemfs.ram',
]
const CONTROLS = ['frozen', 'size', 'align', 'vm', 'update', 'handover'].map(
  (word) => `trusted.guestmemfs.${word}`,
)
const VALUES = ['1', '0', '2M', '1G', '4194304', '{"name":"vm"}', '{}', 'ram', 'files', 'back', '']
const KINDS = 4

function call(kind: number, inode: number, name: string, value: string): Uint8Array {
  const header = Buffer.from([kind, inode, 0, name.length, value.length & 0xff, value.length >> 8])
  return Buffer.concat([header, Buffer.from(name), Buffer.from(value)])
}

export const xattrs: Target = {
  isJson: false,
  dictionary: [...NAMES, ...CONTROLS, ...VALUES, 'trusted.guestmemfs.', '__proto__'],
  seeds: () => {
    const names = [...NAMES, ...CONTROLS]
    const sets = names.flatMap((name) => VALUES.map((value) => call(0, 0, name, value)))
    const rest = names.flatMap((name) => [1, 2, 3].map((kind) => call(kind, 2, name, '')))
    return [...sets, ...rest, Buffer.concat(sets.slice(0, 20)), Buffer.concat(rest)]
  },
  run(input) {
    const fx = fixture()
    const inodes: Ino[] = [ROOT_INO, fx.file('small', 5), fx.file('ram', 4 * 2 ** 20), fx.file('empty')]
    inodes.push(ok(fx.fs.mkdir(fx.rq(), nameAt(ROOT, 'folder'), 0o755)).ino)
    for (let at = 0, calls = 0; at + HEADER_BYTES <= input.length && calls < MOST_CALLS; calls++) {
      const [kind = 0, inode = 0, flags = 0, nameLength = 0, low = 0, high = 0] = input.subarray(
        at,
        at + HEADER_BYTES,
      )
      const nameAt = at + HEADER_BYTES
      const valueAt = nameAt + nameLength
      at = valueAt + low + 256 * high
      const name = fromBytes(input.subarray(nameAt, valueAt))
      // As the kernel sends it: at least a character, none of them NUL.
      if (name.length === 0 || name.includes('\0')) continue
      carryOut(fx, {
        kind: kind % KINDS,
        ino: inodes[inode % inodes.length] as Ino,
        flags,
        name,
        value: input.subarray(valueAt, at),
      })
    }
    checkInvariants(fx.fs, fx.journal)
  },
}

interface Call {
  readonly kind: number
  readonly ino: Ino
  readonly flags: number
  readonly name: ByteString
  readonly value: Uint8Array
}

function carryOut({ fs, rq, journal }: Fixture, { kind, ino, flags, name, value }: Call): void {
  const before = journal.records.length
  if (kind === 0) {
    const refused = fs.setXattr(rq(), ino, name, value, flags)
    if (refused instanceof Refusal)
      assert.equal(journal.records.length, before, 'a refused setxattr was logged')
    else assertReadable(fs, ino, name)
  } else if (kind === 1) {
    const refused = fs.removeXattr(rq(), ino, name)
    if (refused instanceof Refusal)
      assert.equal(journal.records.length, before, 'a refused removexattr was logged')
    else assert.ok(fs.getXattr(ino, name) instanceof Refusal, 'what was removed is there')
  } else if (kind === 2) fs.getXattr(ino, name)
  else for (const each of ok(fs.listXattrs(ino))) assertReadable(fs, ino, each)
}

function assertReadable(fs: FileSystem, ino: Ino, name: ByteString): void {
  // A command, which the server carries out at once, and which has no value to read.
  if (name.startsWith('trusted.guestmemfs.')) return
  assert.ok(fs.getXattr(ino, name) instanceof Uint8Array, `${name} is set and cannot be read`)
}
