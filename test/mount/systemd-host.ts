/**
 * A systemd of its own for a test: PID 1 of new namespaces, with no units but those the test gives it, in a
 * control group of its own. It shares the machine's files, has a /run of its own, and ends when its PID 1 is
 * killed.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { installFiles } from '../../src/host/install-files.ts'
import { mountTable } from '../../src/linux/mounts.ts'
import { CLI } from './support.ts'

const SYSTEMD = '/lib/systemd/systemd'

/** Why no systemd can be started here, or false. */
export const cannotRunSystemd: string | false =
  process.getuid?.() !== 0 ? 'needs root' : existsSync(SYSTEMD) ? false : 'needs systemd installed'

export interface SystemdHost {
  /** Runs a command inside; returns its output, and never throws for its exit status. */
  readonly run: (program: string, ...words: string[]) => { status: number; output: string }
  /** Words that, before a program's own, run it inside. */
  readonly inside: () => string[]
  readonly stop: () => Promise<void>
}

/**
 * The control group hierarchies that systemd manages: the unified one, and its named one where v1 is in use.
 */
function hierarchies(): string[] {
  return mountTable()
    .filter(
      ({ type, superOptions }) =>
        type === 'cgroup2' || (type === 'cgroup' && superOptions.includes('name=systemd')),
    )
    .map(({ target }) => target)
}

const otherHierarchies = (ours: readonly string[]): string[] =>
  mountTable()
    .filter(({ type, target }) => type === 'cgroup' && !ours.includes(target))
    .map(({ target }) => target)

function removeGroups(group: string): void {
  if (!existsSync(group)) return
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroups(join(group, entry.name))
  }
  rmdirSync(group)
}

/** PID 1 inside is the only child of the `unshare` that forked it. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ')[0])
}

/** Parts of a boot beside units: generators that read `fstab`, and shell commands before PID 1 starts. */
export interface Boot {
  readonly generators: string
  readonly fstab: string
  readonly before: string
}

/** `units` becomes /etc/systemd/system inside; it must hold `test.target`. `folder` takes its console. */
export async function startSystemd(folder: string, units: string, boot?: Boot): Promise<SystemdHost> {
  const roots = hierarchies()
  const groups = roots.map((root) => join(root, `guestmemfs-test-${process.pid}`))
  for (const group of groups) mkdirSync(group)
  const enter = groups.map((group) => `echo $$ > ${group}/cgroup.procs`).join('\n')
  // Inside, this test's group is mounted as a whole hierarchy, and other hierarchies are unmounted: else
  // systemd would make the units' groups beside the machine's own.
  const narrow = [
    ...roots.map((root, index) => `mount --bind ${groups[index]} ${root}`),
    ...otherHierarchies(roots).map((root) => `umount -l ${root}`),
  ].join('\n')
  const script = `
    ${enter}
    exec unshare --fork --pid --mount --uts --ipc --cgroup --mount-proc --propagation slave sh -ec '
      ${narrow}
      mount -t tmpfs tmpfs /run
      mount --bind ${units} /etc/systemd/system
      ${boot?.before ?? ''}
      export container=test SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/systemd/generator
      export SYSTEMD_FSTAB=${boot?.fstab ?? '/dev/null'}
      export SYSTEMD_GENERATOR_PATH=${boot?.generators ?? `${folder}/none`}
      export SYSTEMD_ENVIRONMENT_GENERATOR_PATH=${folder}/none
      exec ${SYSTEMD} --system --unit=test.target --log-target=console --show-status=no
    ' </dev/null >${folder}/console 2>&1`
  const shell = spawn('sh', ['-ec', script], { stdio: 'inherit' })
  const ended = new Promise((resolve) => shell.once('exit', resolve))
  const stop = async (): Promise<void> => {
    const init = shell.exitCode === null ? childOf(shell.pid ?? 0) : 0
    if (init > 0) process.kill(init, 'SIGKILL')
    await ended
    for (const group of groups) removeGroups(group)
  }
  const inside = (): string[] => ['nsenter', '--target', String(childOf(shell.pid ?? 0)), '--all']
  const run: SystemdHost['run'] = (program, ...words) => {
    const [nsenter = '', ...target] = inside()
    try {
      const limits = { encoding: 'utf8', timeout: 60_000, stdio: 'pipe' } as const
      const output = execFileSync(nsenter, [...target, program, ...words], limits)
      return { status: 0, output }
    } catch (error) {
      const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string }
      return { status, output: `${stdout}${stderr}` }
    }
  }
  for (let wait = 0; ; wait += 1) {
    await sleep(100)
    if (shell.exitCode === null && run('systemctl', 'is-active', 'test.target').status === 0) break
    if (wait === 100 || shell.exitCode !== null) {
      await stop()
      throw new Error(`systemd did not come up: ${readFileSync(join(folder, 'console'), 'utf8')}`)
    }
  }
  return { run, inside, stop }
}

export const writeTarget = (units: string): void =>
  writeFileSync(join(units, 'test.target'), '[Unit]\nDefaultDependencies=no\n')

/** The unit that `install` writes, under a systemd of its own. */
export interface UnitHost {
  readonly folder: string
  readonly run: SystemdHost['run']
  /** `guestmemfs WORDS…` inside; `good` fails the test where that fails, and returns its output. */
  readonly guestmemfs: SystemdHost['run']
  readonly good: (...words: string[]) => string
  /** Resolves when `holds()` does; fails the test with the console when it does not within 15 s. */
  readonly until: (what: string, holds: () => boolean) => Promise<void>
  /** A property of the pool's unit, as `systemctl show` prints it. */
  readonly show: (pool: string, property: string) => string
}

/** `more`: further files of /etc/systemd/system, by their names there. */
export async function startUnitHost(
  t: TestContext,
  more: Readonly<Record<string, string>> = {},
): Promise<UnitHost> {
  const folder = mkdtempSync(join(tmpdir(), 'unit-'))
  const units = join(folder, 'units')
  mkdirSync(units)
  writeTarget(units)
  const unit = installFiles([process.execPath, CLI]).find(({ path }) => path.endsWith('@.service'))
  for (const [name, text] of Object.entries({ 'guestmemfs@.service': unit?.text ?? '', ...more })) {
    mkdirSync(dirname(join(units, name)), { recursive: true })
    writeFileSync(join(units, name), text)
  }
  const { run, stop } = await startSystemd(folder, units)
  t.after(async () => {
    await stop()
    rmSync(folder, { recursive: true })
  })
  const guestmemfs: SystemdHost['run'] = (...words) => run(process.execPath, CLI, ...words)
  return {
    folder,
    run,
    guestmemfs,
    good: (...words) => {
      const { status, output } = guestmemfs(words[0] ?? '', ...words.slice(1))
      assert.equal(status, 0, output)
      return output
    },
    until: async (what, holds) => {
      for (let wait = 0; !holds(); wait += 1) {
        assert.ok(wait < 150, `${what}: not within 15 s\n${readFileSync(join(folder, 'console'), 'utf8')}`)
        await sleep(100)
      }
    },
    show: (pool, property) =>
      run('systemctl', 'show', '-P', property, `guestmemfs@${pool}.service`).output.trim(),
  }
}
