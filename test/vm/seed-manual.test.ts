/**
 * Tests of the seed's usage section, typed as it is there: touch, truncate, QEMU with its own options,
 * monitor commands, and the restore. Only the file system takes part, and its server is killed while the
 * guest is saved.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { shell } from '../mount/support.ts'
import { Serial } from './serial.ts'
import { kill, mountVmPool, QEMU, SMALL_MACHINE, scratchFolder, tinyKernel } from './support.ts'

test('the seed, by hand: touch, truncate, migrate, quit, start again, migrate_incoming', async (t) => {
  const pool = await mountVmPool(t, '1G')
  const mnt = pool.mountPoint
  shell(`touch ${mnt}/guest-ram && truncate -s 500M ${mnt}/guest-ram`)
  const qemu = new ByHand(t, `size=500M,mem-path=${mnt}/guest-ram,share=yes,prealloc=off,align=2M`)
  pool.endings.push(() => qemu.kill())
  await qemu.start()
  await qemu.serial.until(5)

  await qemu.type('migrate_set_parameter mode cpr-reboot', 'migrate_set_capability x-ignore-shared on')
  await qemu.type(`migrate file:${mnt}/qemu.sav`)
  await qemu.untilStatus('postmigrate')
  await qemu.type('quit')
  await qemu.ended()
  assert.ok(statSync(`${mnt}/qemu.sav`).size < 2 << 20, 'guest RAM is not in the state file')
  kill(pool.serverPid())

  await qemu.start('-incoming', 'defer')
  await qemu.type('migrate_set_parameter mode cpr-reboot', 'migrate_set_capability x-ignore-shared on')
  await qemu.type(`migrate_incoming file:${mnt}/qemu.sav`)
  await qemu.serial.moreTicks(5)
  assert.equal(qemu.serial.findBreak(), undefined)
})

test('QEMU makes its RAM file itself: create, size and map through one descriptor', async (t) => {
  const pool = await mountVmPool(t)
  const file = pool.path('made-by-qemu')
  const qemu = new ByHand(t, `size=64M,mem-path=${file},share=on,align=2M`)
  pool.endings.push(() => qemu.kill())
  await qemu.start()
  await qemu.serial.until(5)
  assert.equal(qemu.serial.findBreak(), undefined)
  assert.equal(statSync(file).size, 64 << 20)
  const maps = shell(`cat /proc/${qemu.pid}/smaps`)
  const mapping = maps.slice(maps.indexOf(file))
  const rssKilobytes = Number(/^Rss: +(\d+) kB/m.exec(mapping)?.[1])
  assert.ok(rssKilobytes >= 8 << 10, 'the guest runs in the mapping of the file')
})

/**
 * A QEMU that the operator starts by hand: its monitor on a socket, its serial port in a file that outlives
 * it.
 */
class ByHand {
  readonly serial: Serial
  readonly #line: string[]
  readonly #monitor: string
  #process: ChildProcess | undefined

  constructor(t: TestContext, backend: string) {
    const folder = scratchFolder(t)
    this.serial = new Serial(join(folder, 'serial'))
    this.#monitor = join(folder, 'monitor')
    closeSync(openSync(this.serial.path, 'w'))
    this.#line = [...SMALL_MACHINE, '-machine', 'memory-backend=pc.ram', '-kernel', tinyKernel(folder)]
    this.#line.push('-object', `memory-backend-file,id=pc.ram,${backend}`)
    this.#line.push(
      '-chardev',
      `file,id=serial,path=${this.serial.path},append=on`,
      '-serial',
      'chardev:serial',
    )
    this.#line.push('-monitor', `unix:${this.#monitor},server=on,wait=off`)
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  async start(...more: string[]): Promise<void> {
    this.#process = spawn(QEMU, [...this.#line, ...more], { stdio: ['ignore', 'ignore', 'inherit'] })
    await once(this.#process, 'spawn')
    await this.untilStatus(more.length > 0 ? 'inmigrate' : 'running')
  }

  /** Types lines into the human monitor and returns what it showed. */
  async type(...lines: string[]): Promise<string> {
    const socket = connect(this.#monitor)
    let shown = ''
    socket.setEncoding('latin1').on('data', (text: string) => {
      shown += text
    })
    try {
      await once(socket, 'connect')
      for (const [index, line] of lines.entries()) {
        while (shown.split('(qemu) ').length < index + 2) await sleep(10)
        socket.write(`${line}\n`)
      }
      const deadline = performance.now() + 5_000
      // A prompt follows each line, except the last one of a QEMU that quits.
      while (shown.split('(qemu) ').length < lines.length + 2 && !socket.closed) {
        if (performance.now() > deadline) throw new Error(`the monitor does not answer: ${shown}`)
        await sleep(10)
      }
    } finally {
      socket.destroy()
    }
    assert.doesNotMatch(shown, /^Error/m)
    return shown
  }

  async untilStatus(status: string): Promise<void> {
    const deadline = performance.now() + 20_000
    for (;;) {
      const shown = await this.type('info status').catch((error: Error) => error.message)
      if (shown.includes(status)) return
      if (performance.now() > deadline) throw new Error(`QEMU is not in state ${status}: ${shown}`)
      await sleep(50)
    }
  }

  async ended(): Promise<void> {
    if (this.#process?.exitCode === null) await once(this.#process, 'exit')
  }

  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL')
    await this.ended()
  }
}
