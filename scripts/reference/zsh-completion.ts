/** The completion for zsh, in the specifications of its `_arguments` (zshcompsys(1)). */
import type { DescribedCommand, DescribedOption, DescribedProgram, DescribedTerm } from './described.ts'
import { NAMES, namesOf, type ValueKind, valueKind } from './value-kinds.ts'

const ACTIONS: Readonly<Record<Extract<ValueKind, string>, string>> = {
  pool: '_guestmemfs_pools',
  mount: '_guestmemfs_mounts',
  image: '_guestmemfs_images',
  vm: '_guestmemfs_vms',
  file: '_files',
  directory: '_files -/',
  user: '_users',
  program: '_normal',
  nothing: ' ',
}

export function zshCompletion({ commands, options }: DescribedProgram): string {
  return `#compdef guestmemfs
# Completion for zsh. Made by 'npm run reference': change src/commands, not this file.

_guestmemfs_pools() {
  local -a names
  names=(\${(f)"$(${NAMES.pool})"})
  compadd "$@" -a names
}

_guestmemfs_mounts() {
  local -a names
  names=(\${(f)"$(${NAMES.mount})"})
  compadd "$@" -a names
}

_guestmemfs_images() {
  _alternative 'pools:pool:_guestmemfs_mounts' 'files:file:_files'
}

_guestmemfs_vms() {
  local -a names
  names=(\${(f)"$(${NAMES.vm})"})
  compadd "$@" -a names
}

_guestmemfs_commands() {
  local -a commands
  commands=(
${commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`).join('\n')}
  )
  _describe command commands
}

_guestmemfs() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \\
${options.flatMap(optionSpecifications).map(continued).join('\n')}
    '1:command:_guestmemfs_commands' \\
    '*::argument:->argument'
  [[ $state == argument ]] || return
  case $words[1] in
${commands.map(commandCase).join('\n')}
  esac
}

if [[ $funcstack[1] == _guestmemfs ]]; then
  _guestmemfs "$@"
else
  compdef _guestmemfs guestmemfs
fi
`
}

function commandCase(command: DescribedCommand): string {
  const specifications = [
    ...command.options.flatMap(optionSpecifications),
    ...command.arguments.map((argument, index) => argumentSpecification(command, argument, index + 1)),
  ]
  return [
    `    ${namesOf(command).join('|')})`,
    '      _arguments -S \\',
    ...specifications.map((each, index) =>
      index === specifications.length - 1 ? `        ${each}` : `    ${continued(each)}`,
    ),
    '      ;;',
  ].join('\n')
}

const continued = (specification: string): string => `    ${specification} \\`

/** One for each of its flags; one that was given is not offered again. */
function optionSpecifications(option: DescribedOption): string[] {
  const { flags, about, placeholder, isRepeated } = option
  const others = isRepeated || flags.length === 1 ? '' : `(${flags.join(' ')})`
  return flags.map((flag) => {
    const name = placeholder === undefined ? flag : `${flag}${flag.startsWith('--') ? '=' : '+'}`
    const value = placeholder === undefined ? '' : `:${message(placeholder)}:${actionOf(option)}`
    return quoted(`${isRepeated ? '*' : others}${name}[${about.replace(/[\\[\]]/g, '\\$&')}]${value}`)
  })
}

function argumentSpecification({ name }: DescribedCommand, argument: DescribedTerm, place: number): string {
  const { placeholder = '', isRepeated, isRequired } = argument
  const action = name === 'help' ? '_guestmemfs_commands' : actionOf(argument)
  // What follows belongs to another program, which completes it.
  if (action === ACTIONS.program) return quoted(`*::${message(placeholder)}:${action}`)
  const where = isRepeated ? '*:' : isRequired ? `${place}:` : `${place}::`
  return quoted(`${where}${message(placeholder)}:${action}`)
}

function actionOf(term: DescribedTerm): string {
  const kind = valueKind(term) ?? 'nothing'
  return typeof kind === 'string' ? ACTIONS[kind] : `(${kind.join(' ')})`
}

const message = (text: string): string => text.replace(/[\\:]/g, '\\$&')
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
