/**
 * A guest of `guestmemfs run` with disks, drives and ports for devices, and the expected bytes of each disk.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readDevices } from '../../src/qemu/carry/device-facts.ts'
import { machineFacts } from '../../src/qemu/carry/machine-facts.ts'
import { askOf } from '../../src/qemu/machine/ask.ts'
import { readSettings } from '../../src/qemu/machine/read-machine.ts'
import { readThreads } from '../../src/qemu/machine/threads.ts'
import { QmpClient } from '../../src/qemu/qmp-client.ts'
import { readRuntime, vmPaths } from '../../src/run/vm-runtime.ts'
import { CLI } from '../../test/mount/support.ts'
import { disk } from '../../test/vm/carried-changes.ts'
import { QEMU, ramOptions, SMALL_MACHINE } from '../../test/vm/support.ts'
import { findBreak, readTicks } from '../../testbed/guests/ticks.ts'
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import type { PoolHost } from '../kill/pool-host.ts'

const [HASH_RAM, STORE_BYTES] = ['hash-ram', 'store-bytes'].map((name) =>
  fileURLToPath(new URL(`../../test/vm/${name}.ts`, import.meta.url)),
) as [string, string]

export const CHUNK = 64 << 10
export const CHUNKS = 32
/** A node without a name in the line: QEMU numbers it, and the update names it. */
const UNNAMED = /"drive":"(#block|guestmemfs-node-)\d+"/
const PORTS = 4
const SLOTS = 4
const TICKS_MS = 60_000

export interface Updated {
  readonly status: number
  readonly stderr: string
}

export class ChangedVm {
  readonly name: string
  readonly folder = mkdtempSync(join(tmpdir(), 'guestmemfs-living-'))
  readonly ports = Array.from({ length: PORTS }, (_, index) => `port${index}`)
  /** By device id: the byte that each chunk holds. */
  readonly disks = new Map<string, Uint8Array>()
  /** The RAM file of each DIMM that has one, by its id. */
  readonly dimms = new Map<string, string>()
  readonly #host: PoolHost
  readonly #serial: string
  readonly #output: string
  readonly #ramFile: string
  #process: ChildProcess | undefined
  #images = 0

  constructor(host: PoolHost, name: string) {
    this.#host = host
    this.name = name
    this.#serial = join(this.folder, 'serial')
    this.#output = join(this.folder, 'output')
    this.#ramFile = join(host.mountPoint, `${name}-ram`)
  }

  async start(seed: number): Promise<void> {
    const kernel = join(this.folder, 'guest.bin')
    writeFileSync(kernel, buildTinyGuest({ mebibytes: 8, seed, pace: 2, memorySlots: SLOTS }))
    const line = [
      ...[QEMU, ...SMALL_MACHINE, ...ramOptions(this.#ramFile, '32M'), '-kernel', kernel],
      ...['-m', `slots=${SLOTS},maxmem=1G`],
      // Not on standard output, to which qemu-io writes.
      ...['-chardev', `file,id=serial0,path=${this.#serial},append=on`, '-serial', 'chardev:serial0'],
      ...['-smp', '1,maxcpus=4', '-cpu', 'qemu64'],
      ...this.ports.flatMap((id, index) => ['-device', `pcie-root-port,id=${id},chassis=${index + 1}`]),
      ...['-device', 'virtio-scsi-pci,id=scsi0', '-device', 'virtio-balloon-pci,id=balloon0'],
      ...['-netdev', 'user,id=net0', '-device', 'virtio-net-pci,netdev=net0,id=nic0,romfile='],
      ...['-blockdev', `driver=file,node-name=file0,filename=${this.image('vd0')}`],
      ...[
        '-blockdev',
        'driver=raw,node-name=disk0,file=file0',
        '-device',
        'virtio-blk-pci,drive=disk0,id=vd0',
      ],
      ...['-drive', `if=virtio,format=raw,file=${this.image('virtio0')}`],
      ...['-object', 'throttle-group,id=group0', '-object', 'iothread,id=thread0'],
      ...['-drive', `if=none,id=drive1,format=raw,file=${this.image('vd1')}`],
      ...['-device', 'virtio-blk-pci,drive=drive1,id=vd1', '-device', 'ahci,id=ahci0'],
      ...[
        '-drive',
        'if=none,id=cd0,media=cdrom,readonly=on',
        '-device',
        'ide-cd,drive=cd0,id=cdrom0,bus=ahci0.0',
      ],
      ...['-device', 'ide-cd,id=cdrom1,bus=ahci0.1'],
    ]
    const output = openSync(this.#output, 'a')
    const words = ['run', '--name', this.name, '--pool', this.#host.mountPoint, '--', ...line]
    this.#process = spawn(process.execPath, [CLI, ...words], { stdio: ['ignore', output, output] })
    closeSync(output)
    await this.moreTicks(1)
  }

  /** An image whose chunks are known; `device` has it from now on. */
  image(device: string): string {
    const path = join(this.folder, `image-${this.#images++}`)
    const chunks = Uint8Array.from({ length: CHUNKS }, (_, at) => (this.#images * 7 + at) & 0xff)
    writeFileSync(path, Buffer.concat([...chunks].map((byte) => Buffer.alloc(CHUNK, byte))))
    this.disks.set(device, chunks)
    return path
  }

  /** A RAM file for a DIMM, in the pool, with a byte in it. */
  dimmFile(id: string, sizeBytes: number, byte: number): string {
    const path = join(this.#host.mountPoint, `${this.name}-${id}`)
    writeFileSync(path, '')
    truncateSync(path, sizeBytes)
    execFileSync(process.execPath, [STORE_BYTES, path, String(sizeBytes / 2), String(byte)])
    this.dimms.set(id, path)
    return path
  }

  /** Once no QEMU has it any more. */
  dropDimm(id: string): void {
    const path = this.dimms.get(id)
    if (path !== undefined) rmSync(path)
    this.dimms.delete(id)
  }

  newPath(): string {
    return join(this.folder, `overlay-${this.#images++}`)
  }

  async qmp<T>(work: (qmp: QmpClient) => Promise<T>): Promise<T> {
    const qmp = await QmpClient.connect(vmPaths(this.name).qmp, 20_000)
    try {
      return await work(qmp)
    } finally {
      qmp.close()
    }
  }

  command(command: string, parameters: object = {}): Promise<unknown> {
    return this.qmp((qmp) => qmp.execute(command, parameters))
  }

  async human(line: string): Promise<string> {
    return String(await this.command('human-monitor-command', { 'command-line': line }))
  }

  /** `read -P BYTE …` fails where a byte is another. */
  io(device: string, command: string): Promise<void> {
    return disk({ name: this.name, output: () => readFileSync(this.#output, 'latin1') }, device, command)
  }

  /** Checks every byte of every disk. Returns the number of chunks. */
  async checkDisks(): Promise<number> {
    let chunks = 0
    for (const [device, bytes] of this.disks)
      for (const [at, byte] of bytes.entries()) {
        await this.io(device, `read -P ${byte} ${at * CHUNK} ${CHUNK}`)
        chunks++
      }
    return chunks
  }

  /** What an update must keep: each device with each property, the block graph, settings, threads. */
  async machine(): Promise<string[]> {
    return await this.qmp(async (qmp) => {
      const ask = askOf(qmp)
      const ids = [...(await readDevices(ask)).keys()].filter((id) => !id.startsWith('cpu'))
      const settings = await readSettings(qmp)
      const threads = await readThreads(qmp, this.pid)
      const networks = await qmp.execute('human-monitor-command', { 'command-line': 'info network' })
      const processors = (await qmp.execute('query-hotpluggable-cpus')) as object[]
      return [
        ...(await machineFacts(ask, ids)).map((fact) => fact.replace(UNNAMED, '"drive":"unnamed"')),
        ...[
          ...[...settings.forwards, ...settings.limits, ...(settings.thresholds ?? [])],
          ...[
            ...Object.entries(settings.objects ?? {}),
            ...threads,
            ...processors,
            ...String(networks).split('\n'),
          ],
        ].map((each) => JSON.stringify(each)),
      ].toSorted()
    })
  }

  get pid(): number {
    const pid = readRuntime(this.name)?.qemu?.pid
    if (pid === undefined) throw new Error(`no QEMU runs VM ${this.name}`)
    return pid
  }

  ramHash(): string {
    // By a mapping: guest RAM cannot be read by read(2).
    const files = [this.#ramFile, ...this.dimms.values()]
    return files
      .map((path) => execFileSync(process.execPath, [HASH_RAM, path], { encoding: 'utf8' }).trim())
      .join(' ')
  }

  update(): Updated {
    const words = ['live-update', '--vmm-only', this.#host.mountPoint]
    const { status, stderr } = spawnSync(process.execPath, [CLI, ...words], {
      ...{ encoding: 'utf8', timeout: 120_000, stdio: ['ignore', 'ignore', 'pipe'] },
    })
    return { status: status ?? -1, stderr }
  }

  ticks(): number {
    const text = existsSync(this.#serial) ? readFileSync(this.#serial, 'latin1') : ''
    const ticks = readTicks(text)
    const broken = findBreak(ticks)
    assert.equal(broken, undefined, `${broken}: ${JSON.stringify(text.slice(-300))}`)
    return ticks.length
  }

  async moreTicks(count: number): Promise<void> {
    const wanted = this.ticks() + count
    const deadline = performance.now() + TICKS_MS
    while (this.ticks() < wanted) {
      assert.ok(performance.now() < deadline, `no tick ${wanted}`)
      await sleep(30)
    }
  }

  async end(): Promise<void> {
    const runtime = readRuntime(this.name)
    if (runtime?.qemu) this.#host.kill(runtime.qemu.pid)
    this.#process?.kill('SIGKILL')
    if (this.#process?.exitCode === null && this.#process.signalCode === null)
      await once(this.#process, 'exit')
    rmSync(vmPaths(this.name).directory, { recursive: true, force: true })
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** `renice`, `taskset` and `chrt` are util-linux's. */
export const schedule = (program: string, ...words: string[]): void =>
  void execFileSync(program, words, { stdio: 'ignore' })
