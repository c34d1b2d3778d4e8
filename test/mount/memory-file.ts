/**
 * A pool of the `devmem` store on a machine without reserved memory, for tests: /dev/mem is a file of tmpfs,
 * whose second half is the reserved range. All else is real: the store with its worker, its zeroing and its
 * windows, which a real QEMU maps.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { mapShared } from '../../src/linux/memory.ts'
import { getxattr } from '../../src/linux/xattr.ts'
import { layOut } from '../../src/stores/carve-out/layout.ts'
import type { Fd } from '../../src/values/ids.ts'
import { GIB, MIB } from '../../src/values/units.ts'
import { MAP_XATTR } from '../../src/values/xattr-names.ts'
import { type OtherTree, otherTree } from './other-tree.ts'
import { cannotMount, type TestPool, testMountPoint, testPool, testPoolName } from './support.ts'

const SHM = '/dev/shm'
/** What `node:test` takes as `skip`. */
export const cannotMountMemoryFile = cannotMount || (fs.existsSync(SHM) ? false : `needs a tmpfs at ${SHM}`)

/**
 * Where the range begins: another place for each test process, whose pools are of one machine all the same.
 */
const RANGE_START = (4 + (process.pid % 2 ** 12)) * GIB
export const RANGE_NAME = `0x${RANGE_START.toString(16)}`

export interface MemoryFile {
  readonly path: string
  readonly rangeBytes: number
}

/** Sparse: it takes no memory before it is used. The caller removes its folder. */
export function makeMemoryFile(rangeBytes: number): MemoryFile {
  const path = join(fs.mkdtempSync(join(SHM, 'guestmemfs-memory-')), 'mem')
  fs.writeFileSync(path, '', { mode: 0o600 })
  fs.truncateSync(path, RANGE_START + rangeBytes)
  return { path, rangeBytes }
}

export const removeMemoryFile = ({ path }: MemoryFile): void =>
  fs.rmSync(dirname(path), { recursive: true, force: true })

/** Of the sources, so that they take the file for /dev/mem. */
export const memoryFileChanges = ({ path, rangeBytes }: MemoryFile): [string, string, string][] => [
  ['src/linux/memory-device.ts', "'/dev/mem'", `'${path}'`],
  // A mapping of the file is one of the device.
  [
    'src/linux/memory-holders.ts',
    "import { join } from 'node:path'",
    "import { readlinkSync } from 'node:fs'\nimport { join } from 'node:path'",
  ],
  [
    'src/linux/memory-holders.ts',
    "characterDevice(join(task, 'map_files', name))",
    `readlinkSync(join(task, 'map_files', name)) === '${path}' ? MEMORY_DEVICE : characterDevice(join(task, 'map_files', name))`,
  ],
  // In a sandbox the first process may be closed to root: then it made no mapping of a test's file either.
  ['src/linux/memory-holders.ts', '=== EACCES) return undefined', '=== EACCES) return new Set()'],
  [
    'src/stores/devmem/range.ts',
    '  const words = splitCommandLine(',
    `  if (root === '/') return { name: '${RANGE_NAME}', layout: layOut({ start: ${RANGE_START}, lengthBytes: ${rangeBytes} }, '${RANGE_NAME}'), nodes: [] }
  const words = splitCommandLine(`,
  ],
]

export interface MemoryFilePool extends TestPool {
  readonly tree: OtherTree
  readonly file: MemoryFile
  /** Of the image, in the file. */
  readonly image: { readonly start: number; readonly lengthBytes: number }
}

/**
 * A mounted pool in it. `further`: of the sources that serve it: a keeper starts nothing from files changed
 * later.
 */
export async function mountMemoryFile(
  t: TestContext,
  rangeBytes: number,
  further: (file: MemoryFile) => [string, string, string][] = () => [],
): Promise<MemoryFilePool> {
  const file = makeMemoryFile(rangeBytes)
  t.after(() => removeMemoryFile(file))
  const tree = otherTree(t, ...memoryFileChanges(file), ...further(file))
  const pool = testPoolName(t)
  const mountPoint = testMountPoint(t)
  const mounted = await tree.run('mount', pool, mountPoint, '-o', 'store=devmem')
  assert.deepEqual([mounted.stderr, mounted.status], ['', 0])
  const { metadata } = layOut({ start: RANGE_START, lengthBytes: rangeBytes }, RANGE_NAME)
  return { ...testPool(pool, mountPoint), tree, file, image: metadata }
}

/** Guest RAM as its guest maps it: a window of the memory. Its blocks are zeroed first, by the worker. */
export async function mapRam({ path, file }: MemoryFilePool): Promise<Uint8Array> {
  await fs.promises.writeFile(path('ram'), '')
  await fs.promises.truncate(path('ram'), 8 * MIB)
  const map = getxattr(path('ram'), MAP_XATTR)
  assert.ok(map instanceof Uint8Array)
  const { kind, offsetBytes } = JSON.parse(Buffer.from(map).toString())
  assert.equal(kind, 'window')
  return mapShared(fs.openSync(file.path, 'r+') as Fd, 8 * MIB, offsetBytes)
}
