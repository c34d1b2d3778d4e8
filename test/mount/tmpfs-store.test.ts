/**
 * The proof that the server serves a kind of store that it was not written for: a real mount, mapped by other
 * processes.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { close } from '../../src/linux/descriptors.ts'
import { openFuseDevice } from '../../src/linux/fuse-device.ts'
import { memfdCreate, resize } from '../../src/linux/memory.ts'
import { abortFuseConnection, MOUNT_FLAGS, mountFuse, mountTable, unmount } from '../../src/linux/mounts.ts'
import { RUNTIME_AREA_BYTES } from '../../src/server/runtime-area.ts'
import { Mapper } from './mapper.ts'
import { cannotMount, runProgram, until } from './support.ts'

const MIB = 2 ** 20
const SHM = '/dev/shm'
const SERVER = fileURLToPath(new URL('tmpfs-server.ts', import.meta.url))
const skip = cannotMount || (existsSync(SHM) ? false : `needs a tmpfs at ${SHM}`)

interface Served {
  readonly child: ChildProcess
  readonly ended: Promise<void>
}

/** A mount of the pool in `folder`; `serve` starts a server for it. */
function mount(t: TestContext, folder: string) {
  const target = mkdtempSync(join(tmpdir(), 'guestmemfs-tmpfs-'))
  const fuseFd = openFuseDevice()
  const runtime = memfdCreate('tmpfs-test:runtime', { sealable: false })
  resize(runtime, RUNTIME_AREA_BYTES)
  const options = ['allow_other', 'default_permissions']
  const flags = MOUNT_FLAGS.nosuid
  assert.equal(mountFuse({ fuseFd, source: 'tmpfs-test', target, flags, options }), undefined)
  const minor = mountTable().find((each) => each.target === target)?.minor ?? -1
  const servers: Served[] = []
  const serve = (): Served => {
    const stdio = ['ignore', 'inherit', 'inherit', fuseFd, runtime] as const
    const child = spawn(process.execPath, [SERVER, folder], { stdio: [...stdio] })
    const ended = new Promise<void>((done) => child.once('exit', () => done()))
    servers.push({ child, ended })
    return { child, ended }
  }
  let isEnded = false
  const end = async (): Promise<void> => {
    if (isEnded) return
    isEnded = true
    abortFuseConnection(minor)
    unmount(target, { lazy: true })
    for (const { child, ended } of servers) {
      child.kill('SIGKILL')
      await ended
    }
  }
  t.after(async () => {
    await end()
    close(fuseFd)
    close(runtime)
    rmdirSync(target)
  })
  return { path: (name: string) => join(target, name), serve, end }
}

/** In a process of its own: this one must not block on the mount. */
async function shell(script: string): Promise<string> {
  const { status, stdout, stderr } = await runProgram('sh', ['-ec', script])
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' }, script)
  return stdout
}

test('a pool in a folder of tmpfs is mounted, mapped and found again', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const folder = mkdtempSync(join(SHM, 'guestmemfs-tmpfs-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const first = mount(t, folder)
  const server = first.serve()
  await shell(`printf 'hello, world' > '${first.path('notes')}'`)
  await shell(`fallocate -p -o 5 -l 2 '${first.path('notes')}'`)
  // As QEMU does it: create, ftruncate and mmap on one descriptor.
  const guest = await Mapper.start(t, first.path('ram'), 6 * MIB, { create: true })
  const other = await Mapper.start(t, first.path('ram'), 6 * MIB)
  await guest.store(5 * MIB, 77)
  assert.equal(await other.load(5 * MIB), 77)
  const object = readdirSync(folder).find(
    (name) => name !== 'image' && statSync(join(folder, name)).size === 6 * MIB,
  )
  assert.equal(
    readFileSync(join(folder, object ?? 'image'))[5 * MIB],
    77,
    'what is mapped is the file itself',
  )

  await t.test('a killed server goes unnoticed', async () => {
    server.child.kill('SIGKILL')
    await server.ended
    await guest.store(0, 5)
    assert.equal(await other.load(0), 5)
    first.serve()
    assert.equal(await shell(`cat '${first.path('notes')}'`), 'hello\0\0world')
  })

  await t.test('the next mount finds the pool', async () => {
    assert.deepEqual([await guest.end(), await other.end()], ['0', '0'])
    await first.end()
    const second = mount(t, folder)
    second.serve()
    const mapper = await Mapper.start(t, second.path('ram'), 6 * MIB)
    assert.deepEqual([await mapper.load(0), await mapper.load(5 * MIB)], [5, 77])
    await mapper.end()
    await shell(`rm '${second.path('ram')}' '${second.path('notes')}'`)
    await until('its files are gone', () => readdirSync(folder).length === 1)
    await second.end()
  })
})
