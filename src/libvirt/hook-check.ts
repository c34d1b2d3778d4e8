/**
 * Whether libvirt's daemon calls our hook: it looks for hooks when it starts (virHookInitialize(),
 * src/util/virhook.c). Without the hook a saved domain would get an empty RAM, and be found out too late.
 */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { LIBVIRT_HOOK } from '../host/libvirt-files.ts'
import { kernelStartMs } from '../linux/boot-id.ts'
import { processStartTime } from '../linux/process.ts'
import { LIBVIRT_PATHS } from '../values/libvirt-paths.ts'

const DAEMON_PIDS = ['/run/virtqemud.pid', '/run/libvirtd.pid']
/** A tick of /proc/PID/stat. */
const TICK_MS = 10
/** Clocks are set, and a tick is coarse. */
const SLACK_MS = 1000

/** Times in milliseconds since the epoch; undefined: there is no such file or process. */
export interface HookFacts {
  readonly installedMs: number | undefined
  /** When a daemon last called it, whichever that was. */
  readonly calledMs: number | undefined
  readonly daemonStartMs: number | undefined
}

/** One line; undefined: the daemon calls it, as far as can be known. Pure. */
export function hookProblem({ installedMs, calledMs = 0, daemonStartMs }: HookFacts): string | undefined {
  if (installedMs === undefined)
    return "libvirt has no hook of guestmemfs: 'guestmemfs install --libvirt' first"
  if (daemonStartMs === undefined || daemonStartMs + SLACK_MS >= installedMs || calledMs >= daemonStartMs)
    return undefined
  return "libvirt's daemon was started before the hook was installed, and may not call it: 'systemctl restart libvirtd' first (guests run on)"
}

export const hookFacts = (): HookFacts => ({
  installedMs: changedMs(LIBVIRT_HOOK),
  calledMs: changedMs(join(LIBVIRT_PATHS.starts, 'called')),
  daemonStartMs: DAEMON_PIDS.map(startMsOf).find((ms) => ms !== undefined),
})

const changedMs = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.mtimeMs

function startMsOf(pidFile: string): number | undefined {
  try {
    const ticks = processStartTime(Number(readFileSync(pidFile, 'latin1')))
    return ticks === undefined ? undefined : kernelStartMs() + Number(ticks) * TICK_MS
  } catch {
    return undefined
  }
}
