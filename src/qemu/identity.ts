/**
 * The user that a VM's QEMU runs as, and QEMU's environment. guestmemfs never starts a user's own binary as
 * root (linux/credentials.ts), and never gives a root process the environment of another user.
 */
import { execFileSync } from 'node:child_process'
import type { Credentials } from '../linux/credentials.ts'
import { UsageError } from '../values/errors.ts'

export interface VmUser extends Credentials {
  readonly name: string
  readonly home: string
}

/**
 * The user that QEMU is to run as: `user` (a name or number) if given, else the user who called sudo, else
 * that of this process. Errors (UsageError): no such user.
 */
export function findVmUser(user: string | undefined, environment: NodeJS.ProcessEnv): VmUser {
  const wanted = user ?? (process.getuid?.() === 0 ? environment.SUDO_UID : undefined)
  return lookUp(wanted ?? String(process.getuid?.() ?? 0))
}

/** Of programs that run as root for a VM of any user. */
export const ROOT_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C.UTF-8',
}

/** passwd and groups through id(1) and getent(1), so that LDAP and the like count too. */
function lookUp(user: string): VmUser {
  const entry = ask('getent', ['passwd', user])?.split(':')
  if (entry === undefined) {
    // A number without an entry is a user all the same, as in a container.
    if (/^\d+$/.test(user)) return { uid: Number(user), gid: Number(user), groups: [], name: user, home: '/' }
    throw new UsageError(`there is no user '${user}'`)
  }
  const [name = user, , uid, gid, , home = '/'] = entry
  const groups = ask('id', ['-G', name])?.split(' ').map(Number) ?? []
  return { uid: Number(uid), gid: Number(gid), groups, name, home }
}

function ask(program: string, words: string[]): string | undefined {
  try {
    return execFileSync(program, words, {
      env: ROOT_ENVIRONMENT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return undefined
  }
}

const LOCALE = /^(LANG|LC_[A-Z]+)$/

/**
 * Variables that a QEMU may need again after an update. Any other, secrets above all, is recorded only when
 * the operator names it.
 */
const KEPT_VARIABLES = [
  'PATH',
  'LANG',
  'LANGUAGE',
  'TERM',
  'TZ',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'DISPLAY',
  'XAUTHORITY',
  'WAYLAND_DISPLAY',
]

/** Set for the VM's user, besides those that are kept. */
const USER_VARIABLES = ['USER', 'LOGNAME']

/**
 * Those variables of `environment` that a root process may be given as well, with root's PATH and HOME.
 * Others, and files below another HOME, may name libraries and modules that it loads (LD_PRELOAD,
 * QEMU_MODULE_DIR).
 */
export function rootEnvironment(environment: Readonly<Record<string, string>>): Record<string, string> {
  const harmless = (name: string) => LOCALE.test(name) || USER_VARIABLES.includes(name) || name === 'TERM'
  const kept = Object.entries(environment).filter(([name]) => harmless(name))
  const { PATH = '', HOME = '' } = ROOT_ENVIRONMENT
  return { ...Object.fromEntries(kept), PATH, HOME }
}

/**
 * `extra`: further variables, as `NAME` (its value now) or `NAME=VALUE`. Errors (UsageError): `NAME` is not
 * set.
 */
export function chooseEnvironment(
  user: VmUser,
  from: NodeJS.ProcessEnv,
  extra: readonly string[],
): Record<string, string> {
  const chosen: Record<string, string> = {}
  for (const [name, value] of Object.entries(from)) {
    if (value !== undefined && (KEPT_VARIABLES.includes(name) || name.startsWith('LC_'))) chosen[name] = value
  }
  Object.assign(chosen, { HOME: user.home, USER: user.name, LOGNAME: user.name })
  for (const item of extra) {
    const [, name = item, value = from[name]] = /^([^=]+)(?:=(.*))?$/s.exec(item) ?? []
    if (value === undefined) throw new UsageError(`environment variable ${name} is not set`)
    chosen[name] = value
  }
  return chosen
}
