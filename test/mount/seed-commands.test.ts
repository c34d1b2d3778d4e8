/**
 * Tests of the seed's usage section as the operator types it: mkdir, mount -t, touch, truncate, umount, mount
 * again. mount(8) looks for helpers in /sbin alone, so the shell runs in a mount namespace of its own, with
 * an overlay that has the one of `guestmemfs install --prefix`.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { beforeUnmount, cannotMount, guestmemfs, testPoolName } from './support.ts'

const MAP_FILE = fileURLToPath(new URL('map-file.ts', import.meta.url))
const SIZE = 500 * 1024 * 1024
const options = { skip: cannotMount, timeout: 90_000 }

/**
 * A shell that keeps its mount namespace and answers one script after another with output and exit status.
 */
class Shell {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(t: TestContext) {
    this.#child = spawn('unshare', ['--mount', '--propagation', 'private', 'sh'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#lines = createInterface({ input: this.#child.stdout as Readable })[Symbol.asyncIterator]()
    beforeUnmount(t, () => this.#child.kill('SIGKILL'))
  }

  async run(script: string): Promise<{ status: number; lines: string[] }> {
    ;(this.#child.stdin as Writable).write(`( set -e\n${script}\n) 2>&1 </dev/null\necho "=status $?"\n`)
    const lines: string[] = []
    for (;;) {
      const { done, value } = await this.#lines.next()
      if (done) throw new Error(`the shell ended while it ran: ${script}`)
      if (value.startsWith('=status ')) return { status: Number(value.slice('=status '.length)), lines }
      lines.push(value)
    }
  }

  /** The output of a script that must succeed, as the operator sees it. */
  async does(script: string): Promise<string[]> {
    const { status, lines } = await this.run(script)
    assert.equal(status, 0, `${script}\n${lines.join('\n')}`)
    return lines
  }
}

/** A shell in which `mount -t guestmemfs` works, and a folder for its mount points. */
async function shellWithHelper(t: TestContext): Promise<{ shell: Shell; folder: string }> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'guestmemfs-seed-')))
  t.after(() => rmSync(folder, { recursive: true }))
  const prefix = join(folder, 'prefix')
  mkdirSync(prefix)
  assert.equal((await guestmemfs('install', '--yes', '--prefix', prefix)).status, 0)
  const shell = new Shell(t)
  await shell.does(`mount -t overlay overlay -o lowerdir=${prefix}/sbin:/usr/sbin "$(readlink -f /sbin)"`)
  return { shell, folder }
}

test("the seed's commands, word for word", options, async (t) => {
  const pool = testPoolName(t)
  const { shell, folder } = await shellWithHelper(t)
  const mnt = `${folder}/mnt/guestmemfs`

  await shell.does(`mkdir -p ${mnt}`)
  await shell.does(`mount -t guestmemfs ${pool} ${mnt}/ -o size=1G`)
  assert.deepEqual(await shell.does(`findmnt -no SOURCE,FSTYPE,SIZE ${mnt}`), [
    `${pool} fuse.guestmemfs   1G`,
  ])
  await shell.does(`touch ${mnt}/guest-ram`)
  assert.deepEqual(await shell.does(`stat -c '%s %b' ${mnt}/guest-ram`), ['0 0'])
  await shell.does(`truncate -s 500M ${mnt}/guest-ram`)
  assert.deepEqual(await shell.does(`stat -c '%s %b %B' ${mnt}/guest-ram`), [`${SIZE} ${SIZE / 512} 512`])
  assert.deepEqual(await shell.does(`stat -f -c '%S %b %f' ${mnt}`), ['2097152 512 262'])

  const commands = (...lines: string[]) =>
    `printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} | ${process.execPath} ${MAP_FILE} ${mnt}/guest-ram ${SIZE}`
  assert.deepEqual(
    await shell.does(commands('load 0', 'store 0 7', `store ${SIZE - 1} 9`, 'fill 4096 8192 5')),
    ['mapped', '0', 'done', 'done', 'done'],
  )

  await shell.does(`umount ${mnt}`)
  assert.deepEqual(await shell.does(`ls -A ${mnt}`), [], 'only the empty mount point is left to see')
  // At once: a script of the operator does not wait either.
  await shell.does(`mount -t guestmemfs ${pool} ${mnt}`)
  assert.deepEqual(await shell.does(`ls -A ${mnt}`), ['guest-ram'])
  assert.deepEqual(
    await shell.does(commands('load 0', `load ${SIZE - 1}`, 'load 4096', 'load 8191', 'load 8192')),
    ['mapped', '7', '9', '5', '5', '0'],
  )
  await shell.does(`umount ${mnt}`)
})
