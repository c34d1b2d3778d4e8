/** Tests of which saved guests an image shows, by images that a file system made. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Inode } from '../fs/state/inode.ts'
import { State } from '../fs/state/state.ts'
import type { VmDefinition } from '../qemu/vm-definition.ts'
import { byteString, type Ino, type ObjectId, ROOT_INO } from '../values/ids.ts'
import { VM_XATTR } from '../values/xattr-names.ts'
import { savedGuests } from './saved-guests.ts'

const MOUNT = '/mnt/pool'
const NOW = { seconds: 1, nanoseconds: 0 }
const SAVED = {
  path: `${MOUNT}/vms/a.vmstate`,
  sizeBytes: 7,
  crc32: 1,
  wasRunning: true,
  stoppedAtMs: 5,
  qemuVersion: '10.0.0',
}
const DEFINITION: VmDefinition = {
  format: 1,
  name: 'a',
  argv: ['/usr/bin/qemu-system-x86_64'],
  environment: {},
  cwd: '/',
  uid: 0,
  gid: 0,
  groups: [],
  cgroup: null,
  order: 0,
  machineType: 'q35',
  qemuVersion: '10.0.0',
  mountPoint: MOUNT,
  ramFiles: [{ id: 'ram', path: `${MOUNT}/vms/a`, sizeBytes: 4096 }],
  statePath: SAVED.path,
  saved: SAVED,
}

const inode = (ino: number, more: Partial<Inode>): Inode => ({
  ...{ ino: ino as Ino, generation: 1, kind: 'file', mode: 0o600, uid: 0, gid: 0, links: 1 },
  ...{ sizeBytes: 0, atime: NOW, mtime: NOW, ctime: NOW, object: ino as ObjectId, extents: [] },
  ...{ guestRam: false, gigantic: false, rdev: 0, target: byteString('') },
  ...more,
})

/** /vms/a is guest RAM with the record, /vms/a.vmstate its state. */
function stateWith(definition: unknown, more: { ram?: Partial<Inode>; state?: Partial<Inode> } = {}): State {
  const state = State.fresh(NOW)
  const name = (parent: number, text: string, ino: number, cookie: number) =>
    state.apply({
      kind: 'name',
      parent: parent as Ino,
      name: byteString(text),
      ino: ino as Ino,
      cookie,
    })
  state.apply({ kind: 'inode', inode: inode(2, { kind: 'directory', links: 2, object: undefined }) })
  state.apply({ kind: 'inode', inode: inode(3, { guestRam: true, sizeBytes: 4096, ...more.ram }) })
  state.apply({ kind: 'inode', inode: inode(4, { sizeBytes: 7, ...more.state }) })
  name(ROOT_INO, 'vms', 2, 3)
  name(2, 'a', 3, 4)
  name(2, 'a.vmstate', 4, 5)
  const value = Buffer.from(JSON.stringify(definition))
  state.apply({ kind: 'xattr', ino: 3 as Ino, name: byteString(VM_XATTR), value })
  return state
}

test('a line that names the mount for RAM alone needs no mount', () => {
  const argv = ['qemu', '-object', `memory-backend-file,id=ram,mem-path=${MOUNT}/vms/a,share=on`]
  assert.equal(savedGuests(stateWith({ ...DEFINITION, argv }), MOUNT).length, 1)
})

test('a guest with all of its RAM in one file of the pool is found, with RAM and state', () => {
  const [guest, ...more] = savedGuests(stateWith(DEFINITION), MOUNT)
  assert.equal(more.length, 0)
  assert.deepEqual(
    [guest?.definition.name, guest?.ram.ino, guest?.object, guest?.stateFile.ino],
    ['a', 3, 3, 4],
  )
})

test('one that needs the mount, or whose files are not as recorded, is left to the resumption', () => {
  const other = { id: 'more', path: `${MOUNT}/vms/a.vmstate`, sizeBytes: 7 }
  const [file] = DEFINITION.ramFiles
  const cases: [string, State][] = [
    ['not saved', stateWith({ ...DEFINITION, saved: null })],
    ['no record', stateWith({ name: 'a' })],
    ['another mount', stateWith({ ...DEFINITION, mountPoint: '/mnt/other' })],
    ['two files', stateWith({ ...DEFINITION, ramFiles: [file, other] })],
    ['shared', stateWith({ ...DEFINITION, ramFiles: [{ ...file, isShared: true }] })],
    ['a disk in the pool', stateWith({ ...DEFINITION, argv: ['qemu', '-hda', `${MOUNT}/disk`] })],
    ['a variable', stateWith({ ...DEFINITION, environment: { TMPDIR: `${MOUNT}/tmp` } })],
    ['started there', stateWith({ ...DEFINITION, cwd: MOUNT })],
    ['started below', stateWith({ ...DEFINITION, cwd: `${MOUNT}/vms` })],
    ['another VMM', stateWith({ ...DEFINITION, format: 2, vmm: { save: 'a', cancel: 'b', start: 'c' } })],
    ['a command first', stateWith({ ...DEFINITION, before: ['swtpm'] })],
    ['no guest RAM', stateWith(DEFINITION, { ram: { guestRam: false } })],
    ['another size', stateWith(DEFINITION, { state: { sizeBytes: 8 } })],
    [
      'a large state',
      stateWith(
        { ...DEFINITION, saved: { ...SAVED, sizeBytes: 2 ** 27 } },
        { state: { sizeBytes: 2 ** 27 } },
      ),
    ],
    ['a state that is guest RAM', stateWith(DEFINITION, { state: { guestRam: true } })],
    ['a path out', stateWith({ ...DEFINITION, saved: { ...SAVED, path: '/etc/passwd' } })],
    ['another name', stateWith({ ...DEFINITION, ramFiles: [{ ...file, path: `${MOUNT}/vms/b` }] })],
  ]
  for (const [what, state] of cases) assert.deepEqual(savedGuests(state, MOUNT), [], what)
})
