/**
 * What `src/commands/` defines, as plain data for the manual and the completions: both are written from it
 * alone. Must not: hold text of its own, but for the exit status that most commands have.
 */
import type { Command, Option } from 'commander'
import type { CommandExample, CommandModule } from '../../src/cli/command.ts'
import { loadModules, makeProgram, paragraphs } from '../../src/cli/program.ts'

/** An argument or an option. */
export interface DescribedTerm {
  /** As the help has it: `<pool>`, `[vm...]`, `-y, --yes`, `--kernel <file>`. */
  readonly term: string
  readonly about: string
  /** What stands for its value: `file` of `<file>`. undefined: an option without a value. */
  readonly placeholder: string | undefined
  readonly default: string | undefined
  /** It may be given several times. */
  readonly isRepeated: boolean
  readonly isRequired: boolean
}

export interface DescribedOption extends DescribedTerm {
  /** The short one first, with their dashes. */
  readonly flags: readonly string[]
}

export interface DescribedCommand {
  readonly name: string
  readonly aliases: readonly string[]
  /** A heading of the help. */
  readonly group: string
  readonly summary: string
  /** Paragraphs; none: the summary says all. */
  readonly description: readonly string[]
  /** What follows the name: `[options] <pool-name> <mountpoint>`. */
  readonly usage: string
  readonly arguments: readonly DescribedTerm[]
  /** `--help` is the last one. */
  readonly options: readonly DescribedOption[]
  /** It has options of its own, and so a page of its own. */
  readonly hasPage: boolean
  readonly exitStatus: readonly (readonly [status: string, about: string])[]
  readonly examples: readonly CommandExample[]
  readonly seeAlso: readonly string[]
}

export interface DescribedProgram {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly options: readonly DescribedOption[]
  /** Those that the help shows, in its order; `help` is the last one. */
  readonly commands: readonly DescribedCommand[]
}

const USUAL_STATUS = { 0: 'it was done', 1: 'it was not done; one line on standard error says why' }

export async function describeProgram(): Promise<DescribedProgram> {
  const modules = await loadModules('help')
  const program = makeProgram(modules, {}, () => {})
  const moduleOf = (name: string) => modules.find((module) => module.name === name)
  return {
    name: program.name(),
    version: program.version() ?? '',
    description: program.description(),
    options: optionsOf(program),
    commands: program
      .createHelp()
      .visibleCommands(program)
      .map((command) => describe(command, moduleOf(command.name()))),
  }
}

/** `module`: undefined for `help`, which is commander's own. */
function describe(command: Command, module: CommandModule | undefined): DescribedCommand {
  return {
    name: command.name(),
    aliases: command.aliases(),
    group: command.helpGroup().replace(/:$/, '') || 'Help',
    summary: command.summary() || command.description(),
    description: module?.description === undefined ? [] : paragraphs(module.description),
    usage: command.usage(),
    arguments: command.registeredArguments.map((argument) => {
      const name = `${argument.name()}${argument.variadic ? '...' : ''}`
      return {
        term: argument.required ? `<${name}>` : `[${name}]`,
        about: argument.description,
        placeholder: argument.name(),
        default: textOf(argument.defaultValue),
        isRepeated: argument.variadic,
        isRequired: argument.required,
      }
    }),
    options: optionsOf(command),
    hasPage: command.options.length > 0,
    exitStatus: Object.entries(module?.exitStatus ?? USUAL_STATUS),
    examples: module?.examples ?? [],
    seeAlso: module?.seeAlso ?? [],
  }
}

const optionsOf = (command: Command): DescribedOption[] =>
  command.createHelp().visibleOptions(command).map(describeOption)

function describeOption(option: Option): DescribedOption {
  const [, placeholder] = /[<[](.*)[>\]]$/.exec(option.flags) ?? []
  return {
    term: option.flags,
    flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
    about: option.description,
    placeholder,
    default: textOf(option.defaultValue),
    isRepeated: Array.isArray(option.defaultValue),
    isRequired: option.mandatory,
  }
}

/** An option that may be given several times is given none by default. */
const textOf = (value: unknown): string | undefined =>
  value === undefined || Array.isArray(value) ? undefined : String(value)
