/**
 * What a shell offers for the value of an option or an argument, by the word that stands for it in the
 * definition: `<vm>` is a VM that exists, `<name>` a new name, which nobody can offer.
 */
import { KEXEC_METHODS } from '../../src/liveupdate/preflight/check-host.ts'
import { REGION_KINDS } from '../../src/values/store-kinds.ts'
import type { DescribedCommand, DescribedOption, DescribedTerm } from './described.ts'

/**
 * 'pool': names of `guestmemfs list`; 'mount': those and mount points; 'image': those and files; 'vm': names
 * of `guestmemfs vms`; 'program': a command line of another program; 'nothing': whatever is typed. An array:
 * one of its words.
 */
export type ValueKind =
  | 'pool'
  | 'mount'
  | 'image'
  | 'vm'
  | 'file'
  | 'directory'
  | 'user'
  | 'program'
  | 'nothing'
  | readonly string[]

const KINDS: Readonly<Record<string, ValueKind>> = {
  'pool-name': 'pool',
  pool: 'mount',
  'pool|file': 'image',
  vm: 'vm',
  file: 'file',
  path: 'file',
  mountpoint: 'directory',
  dir: 'directory',
  user: 'user',
  qemu: 'program',
  way: KEXEC_METHODS,
  kind: REGION_KINDS,
  name: 'nothing',
  'name[=value]': 'nothing',
  command: 'nothing',
  options: 'nothing',
  text: 'nothing',
  n: 'nothing',
  time: 'nothing',
  size: 'nothing',
  address: 'nothing',
  ranges: 'nothing',
  nodes: 'nothing',
}

/** undefined: it has no value. Throws for a placeholder that is not in the table. */
export function valueKind({ term, placeholder }: DescribedTerm): ValueKind | undefined {
  if (placeholder === undefined) return undefined
  if (Object.hasOwn(KINDS, placeholder)) return KINDS[placeholder]
  throw new Error(`${term}: say in scripts/reference/value-kinds.ts what a shell offers for <${placeholder}>`)
}

export interface ValuedOption extends DescribedOption {
  readonly kind: ValueKind
}

/** The options that take a value. */
export const valuedOptions = ({ options }: DescribedCommand): ValuedOption[] =>
  options.flatMap((option) => {
    const kind = valueKind(option)
    return kind === undefined ? [] : [{ ...option, kind }]
  })

/** The names by which a command can be typed, its own first. */
export const namesOf = ({ name, aliases }: DescribedCommand): string[] => [name, ...aliases]

/**
 * A shell pipeline that prints names, one a line, and nothing where there is an error. A name is offered as
 * it is typed: what a shell could take for more than a word (a mount point may have any character) is left
 * out. No file's name is taken for one of these, for JSON has a backslash before each quote in it.
 */
export const NAMES = {
  pool: namesIn('list', 'pool'),
  mount: namesIn('list', '(pool|mountPoint)'),
  vm: namesIn('vms', 'name'),
} as const

function namesIn(command: 'list' | 'vms', key: string): string {
  const all = `guestmemfs ${command} --json 2>/dev/null`
  return `${all} | grep -oE '"${key}":"[A-Za-z0-9_./@%+,-]*"' | cut -d '"' -f 4`
}
