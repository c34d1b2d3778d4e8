/**
 * The second disk of a run: the project as it is in this working tree, the agent, the kernels to jump to and
 * the files of a scenario. Built anew for every run, in about a second, so it is never stale.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { bundle } from '../../scripts/build/bundle.ts'
import { readAhead } from '../../src/host/versions/read-ahead.ts'
import type { Kernel } from '../debian/kernel.ts'
import { takeOlder } from '../older-tree.ts'
import { makeExt4 } from './ext4.ts'

const PROJECT = join(import.meta.dirname, '..', '..')
const ROOM_BYTES = 64 * 1024 * 1024
const SOURCES = ['src', 'test', 'campaigns', 'testbed', 'bench', 'scripts', 'package.json', 'tsconfig.json']
/** Development packages that the project's tests import. */
const TEST_PACKAGES = ['fast-check', 'pure-rand']
/** Where the disk is mounted inside. */
export const INSIDE_HOME = '/opt/testbed'

export interface BootFiles {
  readonly kernel: Kernel
  readonly initramfs: string
}

export interface ProjectDisk {
  /** By the name of their folder: `/opt/testbed/kernels/NAME/{vmlinuz,initramfs}`. */
  readonly kernels: Readonly<Record<string, BootFiles>>
  /** By their name under `/opt/testbed/files/`. */
  readonly files: Readonly<Record<string, Uint8Array>>
  /** A former commit: its sources are in `/opt/testbed/older/`. */
  readonly older?: string | undefined
}

/** Writes the disk as `image`, by a folder beside it that it removes afterwards. */
export async function buildProjectDisk(disk: ProjectDisk, image: string): Promise<void> {
  const tree = `${image}.tree`
  mkdirSync(tree, { recursive: true })
  try {
    await addProject(join(tree, 'guestmemfs'))
    addPrograms(tree)
    if (disk.older !== undefined) addOlder(tree, disk.older)
    for (const [name, { kernel, initramfs }] of Object.entries(disk.kernels)) {
      mkdirSync(join(tree, 'kernels', name), { recursive: true })
      copyFileSync(kernel.vmlinuz, join(tree, 'kernels', name, 'vmlinuz'))
      copyFileSync(initramfs, join(tree, 'kernels', name, 'initramfs'))
    }
    for (const [name, bytes] of Object.entries(disk.files)) {
      const file = join(tree, 'files', name)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, bytes)
    }
    await makeExt4(tree, image, ROOM_BYTES)
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

/** The sources, for tests inside, and the JavaScript of the published package, which starts faster. */
async function addProject(home: string): Promise<void> {
  mkdirSync(home, { recursive: true })
  await bundle(home)
  for (const name of SOURCES) cpSync(join(PROJECT, name), join(home, name), { recursive: true })
  for (const name of neededPackages()) cpSync(join(PROJECT, name), join(home, name), { recursive: true })
}

/**
 * Paths (`node_modules/…`) of the packages that the lock file needs at run time, as far as this platform has
 * them installed.
 */
function neededPackages(): string[] {
  const lock = JSON.parse(readFileSync(join(PROJECT, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>
  }
  return Object.entries(lock.packages)
    .filter(([path, { dev }]) => path !== '' && (dev !== true || TEST_PACKAGES.includes(basename(path))))
    .map(([path]) => path)
    .filter((path) => existsSync(join(PROJECT, path)))
}

function addPrograms(tree: string): void {
  const agent = readFileSync(join(import.meta.dirname, '..', 'inside', 'agent.ts'), 'utf8')
  mkdirSync(join(tree, 'agent'))
  writeFileSync(join(tree, 'agent', 'package.json'), '{"type":"module"}')
  writeFileSync(join(tree, 'agent', 'agent.js'), stripTypeScriptTypes(agent))
  addCommand(tree, 'guestmemfs', 'guestmemfs/dist/cli.js')
}

function addOlder(tree: string, commit: string): void {
  takeOlder(commit, join(tree, 'older'), `${INSIDE_HOME}/guestmemfs/node_modules`)
  addCommand(tree, 'guestmemfs-older', '--disable-warning=ExperimentalWarning', 'older/src/cli.ts')
}

/** A command in the host's PATH. The last of `words` is the program, below `INSIDE_HOME`. */
function addCommand(tree: string, name: string, ...words: string[]): void {
  const program = `${INSIDE_HOME}/${words.at(-1)}`
  const path = join(tree, 'bin', name)
  mkdirSync(dirname(path), { recursive: true })
  const start = `exec node ${[...words.slice(0, -1), program].join(' ')} "$@"`
  // As the launcher of an installed version does.
  writeFileSync(path, `#!/bin/sh\n${readAhead('"$(command -v node)"')}${start}\n`)
  chmodSync(path, 0o755)
}
