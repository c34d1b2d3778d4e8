/** The completion for fish: a line for each command, option and argument. */
import type { DescribedCommand, DescribedProgram } from './described.ts'
import { NAMES, namesOf, type ValueKind, valuedOptions, valueKind } from './value-kinds.ts'

const OFFERS: Readonly<Record<Extract<ValueKind, string>, string>> = {
  pool: "-x -a '(__guestmemfs_pools)'",
  mount: "-x -a '(__guestmemfs_mounts)'",
  image: "-r -F -a '(__guestmemfs_mounts)'",
  vm: "-x -a '(__guestmemfs_vms)'",
  file: '-r -F',
  directory: "-x -a '(__fish_complete_directories)'",
  user: "-x -a '(__fish_complete_users)'",
  program: '-r -F',
  nothing: '-x',
}

export function fishCompletion({ commands, options }: DescribedProgram): string {
  const lines = [
    ...options.map(({ flags, about }) => `-n __guestmemfs_first ${letters(flags)} -d ${quoted(about)}`),
    ...commands.map(({ name, summary }) => `-n __guestmemfs_first -a ${name} -d ${quoted(summary)}`),
    ...commands.flatMap((command) => [...optionLines(command), ...argumentLines(command, commands)]),
  ]
  return `# Completion for fish. Made by 'npm run reference': change src/commands, not this file.

function __guestmemfs_pools
    ${NAMES.pool}
end

function __guestmemfs_mounts
    ${NAMES.mount}
end

function __guestmemfs_vms
    ${NAMES.vm}
end

# Whether no command is typed yet.
function __guestmemfs_first
    test (count (commandline -opc)) -eq 1
end

# NAME...: whether the command has one of these names.
function __guestmemfs_in
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

# NUMBER OPTION...: whether the next word is this argument of its command. The options take a value.
function __guestmemfs_at
    set -l wanted $argv[1]
    set -l words (commandline -opc)
    set -l place 1
    set -l is_value 0
    set -e argv[1]
    set -e words[1..2]
    for word in $words
        if test $is_value = 1
            set is_value 0
        else if contains -- $word $argv
            set is_value 1
        else if not string match -q -- '-*' $word
            set place (math $place + 1)
        end
    end
    test $place = $wanted
end

complete -c guestmemfs -f
${lines.map((line) => `complete -c guestmemfs ${line}`).join('\n')}
`
}

const within = (command: DescribedCommand): string => `__guestmemfs_in ${namesOf(command).join(' ')}`

function optionLines(command: DescribedCommand): string[] {
  return command.options.map((option) => {
    const kind = valueKind(option)
    const offer = kind === undefined ? '' : ` ${offerOf(kind)}`
    return `-n ${quoted(within(command))} ${letters(option.flags)}${offer} -d ${quoted(option.about)}`
  })
}

/** Of an argument that may be repeated every place after it is one, too. */
function argumentLines(command: DescribedCommand, commands: readonly DescribedCommand[]): string[] {
  const valued = valuedOptions(command).flatMap(({ flags }) => flags)
  return command.arguments.flatMap((argument, index) => {
    const kind =
      command.name === 'help' ? commands.map(({ name }) => name) : (valueKind(argument) ?? 'nothing')
    if (kind === 'nothing') return []
    const at = ['__guestmemfs_at', index + 1, ...valued].join(' ')
    const condition = argument.isRepeated ? within(command) : `${within(command)}; and ${at}`
    // Not `-r` or `-x`, which are for options: they ask for a value.
    return [`-n ${quoted(condition)} ${offerOf(kind).replace(/^-[rx] /, '')}`]
  })
}

const offerOf = (kind: ValueKind): string =>
  typeof kind === 'string' ? OFFERS[kind] : `-x -a ${quoted(kind.join(' '))}`

const letters = (flags: readonly string[]): string =>
  flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`)).join(' ')

const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`
