/** A subcommand as its file in `src/commands/` exports it: `export const command: CommandModule`. */
import type { Command } from 'commander'
import type { GuestsBeforeMount } from '../early/before-mount.ts'
import type { WaitingKeeper } from '../pool/waiting-keeper.ts'

/** The headings of `guestmemfs help`. */
export type CommandGroup = 'Pools' | 'Guests' | 'Live update' | 'Setup' | 'Inspect'

/** An example of a command in its manual. */
export interface CommandExample {
  /** What the line does; no full stop. */
  readonly about: string
  /** As an operator types it; may have several lines. */
  readonly typed: string
}

/** What the entry of the program has begun before it loaded the rest, for `mount` alone. */
export interface BegunMount {
  /** The process that may become the pool's keeper. */
  readonly waiting?: WaitingKeeper | undefined
  /** The guests that went on before the mount. undefined: nothing has tried. */
  readonly early?: GuestsBeforeMount | undefined
}

export interface CommandModule {
  readonly name: string
  readonly aliases?: readonly string[]
  /** undefined: the command is not for operators, and not in the help. */
  readonly group: CommandGroup | undefined
  /** One line of the help. */
  readonly summary: string
  /**
   * Paragraphs for its own help and its manual, with an empty line between two; other ends of lines are
   * spaces. Left out: the summary says all.
   */
  readonly description?: string
  /** What a status means, by the status, where it is more than success or failure. For the manual. */
  readonly exitStatus?: Readonly<Record<string, string>>
  readonly examples?: readonly CommandExample[]
  /**
   * For the manual: other manual pages, such as `mount(8)`, and pages of docs/, such as
   * `docs/reference/host.md`.
   */
  readonly seeAlso?: readonly string[]
  /**
   * Whether it changes anything, with these options. Then it runs to its end also where no process reads its
   * output any more, and the journal records who ran it.
   */
  readonly changes: boolean | ((options: Readonly<Record<string, unknown>>) => boolean)
  /** It may not return, or only after weeks: its beginning is logged in the journal as well. */
  readonly mayNotReturn?: true
  /**
   * Its standard streams become another program's. Node would make them non-blocking for that one as well.
   */
  readonly lendsStreams?: true
  /** Adds arguments, options and the action to `command`, which has its name and its description. */
  readonly register: (command: Command, begun: BegunMount) => unknown
}
