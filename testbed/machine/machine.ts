/**
 * The QEMU that runs the host: its command line, its console, its start and end. It ends with this process in
 * any case (parent-death signal). Must not: depend on agents or scenarios.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { killChild } from '../../src/linux/process.ts'
import type { QmpClient } from '../../src/qemu/qmp-client.ts'
import type { QemuProgram } from '../debian/qemu.ts'
import type { Accelerator } from '../guests/kvm-probe.ts'
import { PORT_NAME } from '../inside/protocol.ts'
import { humanMonitor, openControl, type Stop, whenStopped } from './control.ts'
import { memoryNodeWords } from './memory-nodes-words.ts'
import { IOMMU_MACHINE, IOMMU_WORDS, passedNicWords } from './passed-nic.ts'
import { networkWords } from './peer.ts'

export interface MachineOptions {
  readonly qemu: QemuProgram
  readonly accelerator: Accelerator
  /** QEMU's spelling: `4G`. */
  readonly memory: string
  /** Memory nodes, of which each has an equal part of memory and processors. */
  readonly nodes: number
  readonly cpus: number
  readonly kernel: string
  readonly initramfs: string
  readonly commandLine: string
  /**
   * QEMU writes to throw-away overlays; the files stay as they are. They are /dev/vda, /dev/vdb, … inside.
   */
  readonly disks: readonly string[]
  /** A kexec is no reset. Where a scenario has no reset, one is a crash, and must not count as a new boot. */
  readonly resetStartsAgain: boolean
  /** The socket of the peer outside; undefined: the host has no network. */
  readonly peer?: string | undefined
  /** It has an IOMMU, and a second network card, whose wire leads to the peer. */
  readonly passesNic: boolean
  /** For sockets, console logs and the throw-away overlays. */
  readonly folder: string
  /** Each whole line of the console. */
  readonly onConsole: (line: string) => void
}

const QMP_SOCKET = 'qmp.socket'

export class Machine {
  readonly agentSocket: string
  /** Resolves when QEMU has ended, with its last output. */
  readonly ended: Promise<string>
  /** Why the machine stopped by itself. QEMU is ended then. */
  stop: Stop | undefined
  readonly #control: Promise<QmpClient>
  readonly #child: ChildProcess
  readonly #folder: string
  #console: ReturnType<typeof createWriteStream>

  constructor(options: MachineOptions) {
    this.#folder = options.folder
    this.agentSocket = join(options.folder, 'agent.socket')
    this.#console = this.#openConsole('1')
    const { qemu } = options
    const args = ['--pdeathsig', 'KILL', '--', qemu.program, ...qemu.args, ...this.#arguments(options)]
    this.#child = spawn('setpriv', args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...qemu.env, TMPDIR: options.folder },
    })
    this.ended = this.#follow(options.onConsole)
    const hasEnded = (): boolean => this.#child.exitCode !== null || this.#child.signalCode !== null
    this.#control = openControl(join(options.folder, QMP_SOCKET), hasEnded)
    // Without it a stopped machine would go unnoticed.
    this.#control.then(
      (control) => this.#watch(control),
      () => killChild(this.#child),
    )
  }

  /** The next lines of the console are another kernel's: they go to a file of their own. */
  switchConsole(name: string): void {
    this.#console.end()
    this.#console = this.#openConsole(name)
  }

  /** The human monitor's answer, as on page tables and physical memory, which only the hardware has. */
  async monitor(command: string, timeoutMs: number): Promise<string> {
    return humanMonitor(await this.#control, command, timeoutMs)
  }

  async end(): Promise<void> {
    killChild(this.#child)
    await this.ended
  }

  async #watch(control: QmpClient): Promise<void> {
    this.stop = await whenStopped(control)
    if (this.stop !== undefined) killChild(this.#child)
  }

  #openConsole(name: string): ReturnType<typeof createWriteStream> {
    return createWriteStream(join(this.#folder, `console-${name}.log`))
  }

  #follow(onConsole: (line: string) => void): Promise<string> {
    let rest = ''
    this.#child.stdout?.setEncoding('latin1').on('data', (text: string) => {
      const lines = (rest + text).split(/\r?\n/)
      rest = lines.pop() as string
      for (const line of lines) {
        this.#console.write(`${line}\n`, 'latin1')
        onConsole(line)
      }
    })
    let complaints = ''
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaints += text
    })
    return new Promise((resolve) => {
      this.#child.on('error', (error) => resolve(error.message))
      this.#child.on('close', (code, signal) => {
        this.#console.end(rest, 'latin1')
        resolve(complaints.trim() || this.stop?.reason || `QEMU ended (${signal ?? code})`)
      })
    })
  }

  #arguments(options: MachineOptions): string[] {
    const emulation = options.accelerator === 'kvm' ? ['-accel', 'kvm', '-cpu', 'host'] : TCG
    return [
      ...['-name', 'guestmemfs-testbed', '-nodefaults', '-no-user-config', '-display', 'none'],
      ...['-machine', options.passesNic ? IOMMU_MACHINE : 'q35', ...emulation],
      ...['-smp', String(options.cpus), '-m', options.memory],
      ...memoryNodeWords(options.memory, options.cpus, options.nodes),
      ...['-kernel', options.kernel, '-initrd', options.initramfs, '-append', options.commandLine],
      ...(options.passesNic ? IOMMU_WORDS : []),
      ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
      ...[
        '-device',
        'virtio-serial-pci',
        '-chardev',
        `socket,id=agent,path=${this.agentSocket},server=on,wait=off`,
      ],
      ...['-device', `virtserialport,chardev=agent,name=${PORT_NAME}`],
      ...['-qmp', `unix:${join(this.#folder, QMP_SOCKET)},server=on,wait=off`],
      // QEMU stops the machine and does not end, so that its registers can be read.
      ...['-action', `${options.resetStartsAgain ? 'reboot=reset' : 'reboot=shutdown'},shutdown=pause`],
      // Triple faults and resets alone: a few kilobytes.
      ...['-d', 'cpu_reset', '-D', join(this.#folder, 'qemu.log')],
      ...networkOf(options),
      ...options.disks.flatMap((file) => [
        '-drive',
        `file=${file},format=raw,if=virtio,snapshot=on,cache=unsafe`,
      ]),
    ]
  }
}

function networkOf({ peer, passesNic }: MachineOptions): string[] {
  if (peer === undefined) return []
  return passesNic ? passedNicWords(peer) : networkWords(peer)
}

/** Under TCG `max` emulates AMD SVM with nested paging: inside, KVM is real. */
const TCG = ['-accel', 'tcg,thread=multi', '-cpu', 'max']
