/**
 * Owns as whom a VM's QEMU runs, and how we become that user on the way to it: through setpriv(1), which sets
 * user, groups and nothing else, and whose process becomes QEMU's. A person's own binary is never started as
 * root on their behalf.
 */
import { execFileSync } from 'node:child_process'
import { UsageError } from '../values/errors.ts'

export interface Identity {
  readonly uid: number
  readonly gid: number
  /** Supplementary groups. */
  readonly groups: readonly number[]
}

export interface Person extends Identity {
  readonly name: string
  readonly home: string
}

/**
 * Who asks: `user` (a name or number) if given, else who called sudo, else who we are. Errors (UsageError):
 * no such user.
 */
export function findPerson(user: string | undefined, environment: NodeJS.ProcessEnv): Person {
  const wanted = user ?? (process.getuid?.() === 0 ? environment.SUDO_UID : undefined)
  return lookUp(wanted ?? String(process.getuid?.() ?? 0))
}

/** The words that start `argv` as `identity`: `argv` itself where that is who we are. Others need root. */
export function commandAs(identity: Identity, argv: readonly string[]): [string, ...string[]] {
  if (isOurs(identity)) return argv as [string, ...string[]]
  const { uid, gid, groups } = identity
  const groupWords = groups.length > 0 ? ['--groups', groups.join(',')] : ['--clear-groups']
  return ['setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, ...groupWords, '--', ...argv]
}

function isOurs({ uid, gid, groups }: Identity): boolean {
  const ours = new Set([...(process.getgroups?.() ?? []), gid])
  const theirs = new Set([...groups, gid])
  return (
    uid === process.getuid?.() && gid === process.getgid?.() && ours.symmetricDifference(theirs).size === 0
  )
}

/** passwd and groups through id(1) and getent(1), so that LDAP and the like count too. */
function lookUp(user: string): Person {
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
    return execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

/**
 * Variables a QEMU may need again after an update. Anything else, secrets above all, is recorded only when
 * named.
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

/**
 * `extra`: further variables, as `NAME` (its value now) or `NAME=VALUE`. Errors (UsageError): `NAME` is not
 * set.
 */
export function chooseEnvironment(
  person: Person,
  from: NodeJS.ProcessEnv,
  extra: readonly string[],
): Record<string, string> {
  const chosen: Record<string, string> = {}
  for (const [name, value] of Object.entries(from)) {
    if (value !== undefined && (KEPT_VARIABLES.includes(name) || name.startsWith('LC_'))) chosen[name] = value
  }
  Object.assign(chosen, { HOME: person.home, USER: person.name, LOGNAME: person.name })
  for (const item of extra) {
    const [, name = item, value = from[name]] = /^([^=]+)(?:=(.*))?$/s.exec(item) ?? []
    if (value === undefined) throw new UsageError(`environment variable ${name} is not set`)
    chosen[name] = value
  }
  return chosen
}
