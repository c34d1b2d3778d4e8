/**
 * Command lines of the QEMUs that run guests in the throw-away host: words for a shell, or for a unit's
 * ExecStart.
 *
 * Must not: run anything, or depend on what a scenario does with its guest.
 */

export interface GuestOptions {
  /** Also that of its log, and of its RAM file and its kernel where those are not named. */
  readonly name: string
  readonly mebibytes: number
  /** Path of its RAM file, default NAME-ram in the pool; `anonymous`: anonymous memory of QEMU. */
  readonly ram?: string
  /**
   * Paths of RAM files in place of that one, each a NUMA node with an equal part of the memory. Options of
   * the backend may follow a path.
   */
  readonly nodes?: readonly string[]
  /** Default `on` its RAM file; `guestmemfs run` adds the backend to a machine that has none. */
  readonly machine?: string
  /** Default: KVM. */
  readonly accelerator?: 'kvm' | 'tcg'
  /** Default: `host`, or what the emulator has. */
  readonly cpu?: string
  /** One of the scenario's files. */
  readonly kernel?: string
  /** `log`: appended to the log NAME, to which the next QEMU appends, also in the next kernel. */
  readonly serial?: 'log' | 'stdio'
  /** Whether QEMU touches all of the RAM before the guest runs. */
  readonly prealloc?: boolean
  /** Behind all others. */
  readonly words?: string
}

/** The folder of a scenario's files in the host (image/project.ts). */
export const FILES = '/opt/testbed/files'
/** The folder of guests' logs in the host (inside/agent.ts). */
export const LOGS = '/run/testbed/logs'
const POOL = '/mnt/guestmemfs'
/** A guest in a pool that has a triple fault stops, and its RAM stays as it was: evidence for the verdict. */
const KEEP_STOPPED = '-no-reboot -no-shutdown'
const LINE_END = ' \\\n  '

export function guestCommand(options: GuestOptions): string {
  const { name, mebibytes, ram = `${POOL}/${name}-ram`, kernel = name, accelerator = 'kvm' } = options
  const { cpu = accelerator === 'kvm' ? 'host' : 'max' } = options
  const { serial = 'log', prealloc = false, nodes = [], words } = options
  const isAnonymous = ram === 'anonymous'
  const hasOneFile = !isAnonymous && nodes.length === 0
  const { machine = hasOneFile ? 'q35,memory-backend=pc.ram' : 'q35' } = options
  const backend = (id: string, path: string, size: number): string =>
    `-object memory-backend-file,id=${id},size=${size}M,mem-path=${path},share=on,prealloc=${prealloc ? 'on' : 'off'}`
  return [
    `qemu-system-x86_64 -machine ${machine} -accel ${accelerator} -cpu ${cpu} -m ${mebibytes}M`,
    ...(hasOneFile ? [backend('pc.ram', ram, mebibytes)] : []),
    ...nodes.map(
      (path, index) =>
        `${backend(`ram${index}`, path, mebibytes / nodes.length)} -numa node,nodeid=${index},memdev=ram${index}`,
    ),
    ...(isAnonymous ? [] : [KEEP_STOPPED]),
    `-nodefaults -display none -kernel ${FILES}/${kernel}`,
    serial === 'stdio'
      ? '-serial stdio'
      : `-chardev file,id=serial,path=${LOGS}/${name},append=on -serial chardev:serial`,
    ...(words === undefined ? [] : [words]),
  ].join(LINE_END)
}

/** Socket of the seed guest's human monitor. */
export const SEED_MONITOR = '/run/guest.monitor'

export interface SeedOptions {
  readonly memPath?: string
  readonly mebibytes?: number
}

/**
 * The line of the seed's usage section as the operator types it, with the testbed's kernel, monitor socket
 * and sizes. In `memPath` options of the backend may follow the path.
 */
export const seedCommand = ({ memPath = `${POOL}/guest-ram`, mebibytes = 500 }: SeedOptions = {}): string =>
  `qemu-system-x86_64 -machine pc-q35-10.0,memory-backend=pc.ram -accel kvm -cpu host -m ${mebibytes}M \\
  -object memory-backend-file,id=pc.ram,size=${mebibytes}M,mem-path=${memPath},align=2M,share=on,prealloc=off \\
  -nodefaults -display none -serial stdio -monitor unix:${SEED_MONITOR},server,nowait \\
  -kernel ${FILES}/tiny-guest`
