/**
 * A pool in a region for tests: the region is a folder of tmpfs in place of a carve-out, and keeper, server
 * and commands are the real ones, with another driver in one row of the registry.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Mapper } from './mapper.ts'
import { type OtherTree, otherTree } from './other-tree.ts'
import {
  cannotMount,
  type Outcome,
  type TestPool,
  testMountPoint,
  testPool,
  testPoolName,
} from './support.ts'

const MIB = 1024 * 1024
const SHM = '/dev/shm'
/** What `node:test` takes as `skip`. */
export const cannotMountRegion = cannotMount || (fs.existsSync(SHM) ? false : `needs a tmpfs at ${SHM}`)
/** The last bytes of the image's header: its checksum. */
export const CHECKSUM_AT = 4092

export interface RegionPool extends TestPool {
  readonly tree: OtherTree
  readonly folder: string
  /** Flips a bit of the image's header, which a server reads at its start alone; again, and it is whole. */
  readonly flip: () => void
}

/** Of the sources, so that a pool with `store=devmem` lies in a folder of tmpfs. */
export const REGION_IN_TMPFS = [
  ['src/stores/registry.ts', '{ DEVMEM }', '{ TMPFS as DEVMEM }'],
  ['src/stores/registry.ts', './devmem/devmem-driver.ts', './testing/tmpfs/tmpfs-driver.ts'],
  ['src/stores/testing/tmpfs/tmpfs-store.ts', "kind: 'tmpfs'", "kind: 'devmem'"],
] satisfies [string, string, string][]

/** A mounted pool in a region. */
export async function mountRegion(t: TestContext): Promise<RegionPool> {
  const tree = otherTree(t, ...REGION_IN_TMPFS)
  const folder = fs.mkdtempSync(join(SHM, 'guestmemfs-region-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const pool = testPoolName(t)
  const mountPoint = testMountPoint(t)
  const mounted = await tree.run('mount', pool, mountPoint, '-o', `store=devmem,region=${folder}`)
  assert.deepEqual([mounted.stderr, mounted.status], ['', 0])
  const flip = (): void => {
    const fd = fs.openSync(join(folder, 'image'), 'r+')
    const byte = Buffer.alloc(1)
    fs.readSync(fd, byte, 0, 1, CHECKSUM_AT)
    byte.writeUInt8(byte.readUInt8() ^ 1)
    fs.writeSync(fd, byte, 0, 1, CHECKSUM_AT)
    fs.closeSync(fd)
  }
  return { ...testPool(pool, mountPoint), tree, folder, flip }
}

/** Uses the pool as guests and programs do; each call does it once more. */
export async function use(t: TestContext, { path }: TestPool): Promise<() => Promise<void>> {
  fs.writeFileSync(path('text'), 'before')
  const mapper = await Mapper.start(t, path('ram'), 8 * MIB, { create: true })
  await mapper.store(5 * MIB, 55)
  let round = 0
  return async () => {
    assert.equal(await mapper.load(5 * MIB), 55)
    const name = path(`new ${++round}`)
    fs.writeFileSync(name, name)
    assert.equal(fs.readFileSync(name, 'utf8'), name)
    assert.equal(fs.readFileSync(path('text'), 'utf8'), 'before')
  }
}

/** Status 1, and one line that says `why`. */
export function assertRefused({ status, stderr }: Outcome, why: RegExp): void {
  assert.equal(status, 1)
  assert.match(stderr, /^guestmemfs: [^\n]+\n$/)
  assert.match(stderr, why)
}
