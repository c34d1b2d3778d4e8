/**
 * The completion for bash: a table of what each argument and option takes, and one function that looks at the
 * words. It needs no other package, and bash 4.
 */
import type { DescribedCommand, DescribedProgram } from './described.ts'
import { NAMES, namesOf, type ValueKind, valuedOptions, valueKind } from './value-kinds.ts'

export function bashCompletion({ commands, options }: DescribedProgram): string {
  const flags = options.flatMap(({ flags }) => flags)
  const names = commands.map(({ name }) => name)
  return `# Completion for bash. Made by 'npm run reference': change src/commands, not this file.

# Adds those of the words that begin with what is typed.
_guestmemfs_offer() {
  local word
  for word; do
    [[ $word == "$current"* ]] && COMPREPLY+=("$word")
  done
}

# COMMAND: sets \`options\` to its options.
_guestmemfs_options() {
  case $1 in
${commands.map(optionRow).join('\n')}
    *) options='' ;;
  esac
}

# COMMAND OPTION, or COMMAND and the number of an argument: sets \`kind\` to what it takes; empty: no value.
_guestmemfs_kind() {
  case "$1 $2" in
${commands.flatMap((command) => kindRows(command, names)).join('\n')}
    *) kind='' ;;
  esac
}

_guestmemfs_values() {
  local names
  case $1 in
    pool) mapfile -t names < <(${NAMES.pool}) ;;
    mount | image) mapfile -t names < <(${NAMES.mount}) ;;
    vm) mapfile -t names < <(${NAMES.vm}) ;;
    user) mapfile -t names < <(compgen -u) ;;
    program) mapfile -t names < <(compgen -c -- "$current") ;;
    words\\ *) read -r -a names <<<"\${1#words }" ;;
    *) names=() ;;
  esac
  _guestmemfs_offer "\${names[@]}"
  # Where nothing of that is typed: files, or directories.
  case $1 in
    file | image | program) compopt -o default 2>/dev/null ;;
    directory) compopt -o dirnames 2>/dev/null ;;
  esac
}

_guestmemfs() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command=\${COMP_WORDS[1]} options kind index place=1 isOver=''
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _guestmemfs_offer ${[...names, ...flags].join(' ')}
    return
  fi
  # '=' is a word of its own.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((index = 2; index < COMP_CWORD; index++)); do
    if [[ $isOver ]]; then
      ((place++))
    elif [[ \${COMP_WORDS[index]} == -- ]]; then
      isOver=1
    elif [[ \${COMP_WORDS[index]} == '=' ]]; then
      ((index++))
    elif [[ \${COMP_WORDS[index]} == -* ]]; then
      _guestmemfs_kind "$command" "\${COMP_WORDS[index]}"
      [[ $kind && \${COMP_WORDS[index + 1]} != '=' ]] && ((index++))
    else
      ((place++))
    fi
  done
  if [[ ! $isOver ]]; then
    _guestmemfs_kind "$command" "$previous"
    if [[ $kind && $previous == -* ]]; then
      _guestmemfs_values "$kind"
      return
    fi
    if [[ $current == -* ]]; then
      _guestmemfs_options "$command"
      _guestmemfs_offer $options
      return
    fi
  fi
  _guestmemfs_kind "$command" "$place"
  _guestmemfs_values "$kind"
}

complete -F _guestmemfs guestmemfs
`
}

const pattern = (command: DescribedCommand): string => namesOf(command).join(' | ')

const optionRow = (command: DescribedCommand): string =>
  `    ${pattern(command)}) options='${command.options.flatMap(({ flags }) => flags).join(' ')}' ;;`

function kindRows(command: DescribedCommand, names: readonly string[]): string[] {
  const row = (which: string, kind: ValueKind) =>
    `    ${namesOf(command)
      .map((name) => `'${name} '${which}`)
      .join(' | ')}) kind='${wordOf(kind)}' ;;`
  return [
    ...valuedOptions(command).flatMap(({ flags, kind }) => flags.map((flag) => row(flag, kind))),
    ...command.arguments.flatMap((argument, index) => {
      const kind = command.name === 'help' ? names : (valueKind(argument) ?? 'nothing')
      const first = row(String(index + 1), kind)
      if (!argument.isRepeated) return [first]
      // The words of another program may be anything; files are most of what can be offered.
      return [first, row('[1-9]*', kind === 'program' ? 'file' : kind)]
    }),
  ]
}

const wordOf = (kind: ValueKind): string => (typeof kind === 'string' ? kind : `words ${kind.join(' ')}`)
