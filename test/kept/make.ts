/**
 * Makes `bytes/COMMIT/`: files that the program of a former tree writes, run on this machine.
 *
 *   npm run kept -- COMMIT        needs root, /dev/fuse, QEMU, and COMMIT in the history
 *
 *   image.sparse       the image of a mounted pool, frozen, with orphans and a saved VM (sparse.ts)
 *   packed.sparse      the same as it is handed over to the next kernel
 *   carve-out.sparse   an image of a carve-out
 *   NAME.dump.gz what that tree's `dump` printed of each
 *   tree.json the names of a mount of that tree (tell-tree.ts)
 *   values.json        the virtual and control xattrs of that mount, by path and name
 *   pool.json          /run/guestmemfs/pools/POOL.json, mounted; pool-parked.json: parked
 *   runtime.json       /run/guestmemfs/vm/NAME/runtime.json
 *   vm-running.json    `trusted.guestmemfs.vm` of a guest's RAM while it ran; vm-saved.json: saved
 *   report.json        /run/guestmemfs/live-update/….json of an update of QEMU; report.txt: `report` of it
 *   update.json        `trusted.guestmemfs.update`, as it is just before the jump
 *   manifest.json      the manifest of a handover's index session
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { lgetxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import { takeOlder } from '../../testbed/older-tree.ts'
import { ramOptions, SMALL_MACHINE } from '../vm/support.ts'
import { beforeJump, carveOutImage, manifest, packedImage } from './module-scripts.ts'
import { OlderTree } from './older-run.ts'
import { populate } from './populate.ts'
import { packSparse } from './sparse.ts'
import { tellTree } from './tell-tree.ts'

const [commit = ''] = process.argv.slice(2)
const POOL = 'kept'
const VM = 'kept-guest'
const RUN = '/run/guestmemfs'
const IMAGE_LINK = '/memfd:guestmemfs:image (deleted)'
const START_MS = 30_000
/** Time for the kernel to remove the mappings of killed processes. */
const SETTLE_MS = 1000

const work = mkdtempSync(join(tmpdir(), 'guestmemfs-kept-'))
const mountPoint = join(work, 'mount')
const report = join(RUN, 'live-update', `${encodeURIComponent(mountPoint)}.json`)
const kept = join(import.meta.dirname, 'bytes', commit)
const tree = new OlderTree(join(work, 'tree'))

const keep = (name: string, bytes: Uint8Array | string): void => writeFileSync(join(kept, name), bytes)
const keepJson = (name: string, value: unknown): void => keep(name, `${JSON.stringify(value, null, 1)}\n`)
const path = (name: string): string => join(mountPoint, name)

function xattr(of: string, name: string): Buffer {
  const value = lgetxattr(of, name)
  if (value instanceof Errno) throw new Error(`${name} of ${of}: ${value}`)
  return Buffer.from(value)
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + START_MS
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`${START_MS} ms went by without: ${what}`)
    await sleep(50)
  }
}

/** Whether the tree's command has it. */
const hasOption = async (command: string, option: string): Promise<boolean> =>
  (await tree.guestmemfs(command, '--help')).includes(option)

/** Of a command that takes a pool: former trees have an option for it. */
const poolWords = async (command: string): Promise<string[]> =>
  (await hasOption(command, '--mount')) ? ['--mount', mountPoint] : [mountPoint]

/** Runs a guest, updates it and saves it: this ends its stopped QEMU. */
async function guest(): Promise<void> {
  const [kernel, log] = [join(work, 'guest'), join(work, 'log')]
  writeFileSync(kernel, buildTinyGuest({ mebibytes: 8, seed: 1, pace: 1 }))
  const line = ['qemu-system-x86_64', ...SMALL_MACHINE, ...ramOptions(path('guest-ram'), '32M')]
  tree.start(
    log,
    'run',
    '--name',
    VM,
    ...((await hasOption('run', '--pool')) ? ['--pool'] : ['--mount']),
    mountPoint,
    '--',
    ...line,
    '-kernel',
    kernel,
    '-serial',
    'stdio',
  )
  await until('a tick of the guest', () => readFileSync(log, 'latin1').includes('tick 1 '))
  keep('vm-running.json', xattr(path('guest-ram'), 'trusted.guestmemfs.vm'))
  await tree.guestmemfs('live-update', '--vmm-only', ...(await poolWords('live-update')))
  keep('report.txt', await tree.guestmemfs('report', ...(await poolWords('report'))))
  keep('report.json', readFileSync(report))
  keep('runtime.json', readFileSync(join(RUN, 'vm', VM, 'runtime.json')))
  await tree.script(beforeJump(POOL, mountPoint, path('guest-ram')))
  keep('vm-saved.json', xattr(path('guest-ram'), 'trusted.guestmemfs.vm'))
  keep('update.json', xattr(mountPoint, 'trusted.guestmemfs.update'))
}

/** All values of the mount's virtual xattrs: of its root, and of each file. */
function values(): Record<string, Record<string, string>> {
  const read = (of: string, names: readonly string[]): Record<string, string> =>
    Object.fromEntries(names.map((name) => [name, xattr(of, name).toString()]))
  const virtual = ['pool', 'geometry', 'health', 'handover', 'orphans', 'vms', 'ram', 'server']
  const root = [...virtual.map((name) => `guestmemfs.${name}`), 'trusted.guestmemfs.frozen']
  const file = ['guestmemfs.map', 'guestmemfs.kind', 'guestmemfs.extents', 'trusted.guestmemfs.size']
  const names = ['text', 'ram', 'folder/odd ram', 'folder/three blocks', 'guest-ram']
  return {
    '.': read(mountPoint, root),
    ...Object.fromEntries(names.map((name) => [name, read(path(name), file)])),
  }
}

function imageFile(keeper: number): string {
  const fds = `/proc/${keeper}/fd`
  return join(fds, readdirSync(fds).find((fd) => readlinkSync(join(fds, fd)) === IMAGE_LINK) ?? 'none')
}

async function images(pool: string): Promise<void> {
  const [packed, carveOut] = [join(work, 'packed'), join(work, 'carve-out')]
  await tree.script(packedImage(pool, packed))
  await tree.script(carveOutImage(POOL, carveOut))
  for (const [name, file] of Object.entries({ image: pool, packed, 'carve-out': carveOut })) {
    const said = await tree.guestmemfs('fsck', file)
    if (said !== `${file}: clean\n`) throw new Error(said)
    keep(`${name}.sparse`, packSparse(readFileSync(file)))
    keep(`${name}.dump.gz`, gzipSync(await tree.guestmemfs('dump', file), { level: 9 }))
  }
}

const poolRecord = (): string => readFileSync(join(RUN, 'pools', `${POOL}.json`), 'utf8')

function endGuest(): void {
  if (!existsSync(join(RUN, 'vm', VM, 'runtime.json'))) return
  const { qemu, supervisor } = JSON.parse(readFileSync(join(RUN, 'vm', VM, 'runtime.json'), 'utf8'))
  // Only a former version's has one.
  for (const each of [supervisor, qemu]) if (each != null) process.kill(each.pid, 'SIGKILL')
}

mkdirSync(mountPoint)
mkdirSync(kept, { recursive: true })
takeOlder(commit, tree.folder)
await tree.guestmemfs('mount', POOL, mountPoint, '-o', 'size=128M')
let endOrphans = (): void => {}
try {
  endOrphans = populate(mountPoint)
  await guest()
  keep('pool.json', poolRecord())
  keepJson('tree.json', tellTree(mountPoint))
  keepJson('values.json', values())
  await images(imageFile(JSON.parse(poolRecord()).keeper.pid))
  keep('manifest.json', await tree.script(manifest(POOL)))
} finally {
  endGuest()
  endOrphans()
  await sleep(SETTLE_MS)
  await tree.guestmemfs('umount', POOL)
  keep('pool-parked.json', poolRecord())
  await tree.guestmemfs('umount', '--discard', POOL)
  rmdirSync(mountPoint)
  rmSync(work, { recursive: true })
  const left = [
    join(RUN, 'vm', VM),
    report,
    ...['lock', 'log'].map((what) => join(RUN, 'pools', `${POOL}.${what}`)),
  ]
  for (const each of left) rmSync(each, { recursive: true, force: true })
}
