/**
 * The systemd unit of a guest whose QEMU is the unit's main process. When that process ends, the unit does,
 * with all that is in its cgroup: so the command first sends the manager MAINPID= of the next QEMU
 * (sd_notify(3)). The manager sees the end of a main process only if that is its own child
 * (`service_set_main_pidref`, src/core/service.c), so the next QEMU must be a child of PID 1
 * (`startUnderInit`).
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { cgroupOf } from '../../linux/cgroup.ts'
import { close } from '../../linux/descriptors.ts'
import { connectDatagram, sendAs } from '../../linux/sockets.ts'
import { Errno } from '../../values/errno.ts'

const NOTIFY_SOCKET = '/run/systemd/notify'
const TIMEOUT_MS = 5000
const LOOK_MS = 50

export interface GuestUnit {
  readonly name: string
  /** Of a manager of one user, and not the system's. */
  readonly isUsers: boolean
  /** `NotifyAccess=`: whose messages the manager takes. */
  readonly notifyAccess: string
}

/** undefined: `pid` is no unit's main process. */
export function mainUnitOf(pid: number): GuestUnit | undefined {
  const path = cgroupOf(pid)
  const name = path?.split('/').findLast((part) => part.endsWith('.service'))
  if (path === undefined || name === undefined || !existsSync('/run/systemd/system')) return undefined
  const user = /\/user@(\d+)\.service\/.*\.service/.exec(path)?.[1]
  const found = show(name, user === undefined ? [] : ['--user', `--machine=${user}@.host`])
  if (found.get('MainPID') !== String(pid)) return undefined
  return { name, isUsers: user !== undefined, notifyAccess: found.get('NotifyAccess') ?? 'none' }
}

/** Why the guest cannot get another QEMU without the end of its unit; empty: it can. */
export function unitProblems(pid: number): string[] {
  const unit = mainUnitOf(pid)
  if (unit === undefined) return []
  const { name, isUsers, notifyAccess } = unit
  if (isUsers) return [`its unit ${name} is of a user's manager, to which root cannot report its next QEMU`]
  if (notifyAccess !== 'none') return []
  return [
    `its unit ${name} would end with its QEMU, as it takes no message about the next one: give it NotifyAccess=main ('systemctl edit ${name}', which needs no restart)`,
  ]
}

/**
 * Makes `to`, which is in the unit's cgroup, its main process in place of `from`. False: the manager did not
 * take it.
 */
export async function moveMainProcess({ name }: GuestUnit, from: number, to: number): Promise<boolean> {
  const socket = connectDatagram(NOTIFY_SOCKET)
  if (socket instanceof Errno) return false
  // In the name of the main process, whose messages every other NotifyAccess= than none allows.
  const failed = sendAs(socket, Buffer.from(`MAINPID=${to}`), { pid: from, uid: 0, gid: 0 })
  close(socket)
  if (failed !== undefined) return false
  const deadline = performance.now() + TIMEOUT_MS
  for (;;) {
    if (show(name, []).get('MainPID') === String(to)) return true
    if (performance.now() > deadline) return false
    await sleep(LOOK_MS)
  }
}

/**
 * Starts a program as a child of PID 1. A process whose parent ends becomes a child of its nearest ancestor
 * that collects such ones, as the manager of a user's session does; so the system's manager starts it, by a
 * shell that ends at once. `errors`: file of its standard error. False: it could not be started.
 */
export function startUnderInit(
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
  errors: string,
): boolean {
  const settings = Object.entries(environment).map(([name, value]) => `--setenv=${name}=${value}`)
  const properties = ['Type=oneshot', 'KillMode=process', 'DefaultDependencies=no'].map(
    (property) => `--property=${property}`,
  )
  const script = 'exec </dev/null >/dev/null 2>"$0"; "$@" &'
  const shell = ['/bin/sh', '-c', script, errors, ...words]
  const { status } = spawnSync(
    'systemd-run',
    ['--quiet', '--collect', ...properties, ...settings, ...shell],
    {
      stdio: 'ignore',
    },
  )
  return status === 0
}

function show(name: string, manager: readonly string[]): Map<string, string> {
  const words = [...manager, 'show', '--property=MainPID,NotifyAccess', name]
  const { stdout } = spawnSync('systemctl', words, { encoding: 'utf8' })
  return new Map((stdout ?? '').split('\n').map((line) => line.split('=', 2) as [string, string]))
}
