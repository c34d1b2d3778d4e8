/**
 * A VM of an unprivileged owner: its RAM is in a directory of that user, and root starts it with `--user`.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import type { TestContext } from 'node:test'
import { testMountPoint, until } from '../mount/support.ts'
import {
  mountVmPool,
  QEMU,
  ramOptions,
  runVm,
  SMALL_MACHINE,
  scratchFolder,
  type TestVm,
  tinyKernel,
  type VmPool,
  vmName,
} from './support.ts'

export const NOBODY = 65534

export interface NobodysGround {
  readonly pool: VmPool
  /** A scratch folder that everyone may enter. */
  readonly folder: string
  /** A directory of the mount that belongs to user nobody. */
  readonly theirs: string
}

export async function nobodysGround(t: TestContext): Promise<NobodysGround> {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const theirs = pool.path('theirs')
  mkdirSync(theirs)
  chownSync(theirs, NOBODY, NOBODY)
  for (const path of [folder, pool.mountPoint]) letOthersIn(t, path)
  return { pool, folder, theirs }
}

/** A VM of user nobody in a directory of nobody's, started by root. */
export async function startNobodysVm(
  t: TestContext,
  word: string,
  {
    qemu = QEMU,
    runOptions = [] as readonly string[],
    /** Of QEMU, by the directory of nobody's. */
    options = (_: string): readonly string[] => [],
  } = {},
): Promise<{ pool: VmPool; vm: TestVm }> {
  const { pool, folder, theirs } = await nobodysGround(t)
  const line = [
    qemu,
    ...SMALL_MACHINE,
    ...ramOptions(join(theirs, word)),
    '-serial',
    'stdio',
    ...options(theirs),
  ]
  const kernel = ['-kernel', tinyKernel(folder)]
  const asNobody = ['--user', String(NOBODY), ...runOptions]
  const vm = runVm(pool, folder, vmName(word), join(theirs, word), asNobody, [...line, ...kernel])
  await Promise.race([vm.serial.until(1), vm.ended.then(() => assert.fail(vm.errors()))])
  return { pool, vm }
}

/** The same with a program of nobody's in QEMU's place; waits for its first output. */
export async function startNobodysProgram(
  { pool, folder }: NobodysGround,
  word: string,
  program: string,
  ramFile: string,
  options: readonly string[] = [],
): Promise<TestVm> {
  const line = [program, ...SMALL_MACHINE, ...ramOptions(ramFile), ...options]
  const vm = runVm(pool, folder, vmName(word), ramFile, ['--user', String(NOBODY)], line)
  const said = () => readFileSync(vm.serial.path, 'utf8') !== ''
  await Promise.race([until('it serves', said), vm.ended.then(() => assert.fail(vm.errors()))])
  return vm
}

const PROJECT = resolve(import.meta.dirname, '../..')

/**
 * This project's program `path`, as words before its own that any user can run, wherever the project lies: in
 * a home directory that is closed to others, too. Read-only, so that nothing that removes folders reaches it.
 */
export function forOthers(t: TestContext, path: string): readonly [node: string, program: string] {
  const place = testMountPoint(t)
  execFileSync('mount', ['-o', 'bind,ro', PROJECT, place])
  letOthersIn(t, dirname(place))
  const seen = (file: string): string =>
    file.startsWith(`${PROJECT}/`) ? join(place, relative(PROJECT, file)) : file
  return [seen(process.execPath), seen(path)]
}

/**
 * Test folders are private: for as long as the test runs, another user may enter this one and those above it.
 */
function letOthersIn(t: TestContext, path: string): void {
  for (let at = path; at !== '/'; at = dirname(at)) {
    const { mode } = statSync(at)
    if ((mode & 0o001) !== 0) continue
    chmodSync(at, mode | 0o011)
    if (at !== path) t.after(() => chmodSync(at, mode))
  }
}
