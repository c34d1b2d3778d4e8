/** All that `npm run reference` makes: path and text of each file. Must not: write one. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { bashCompletion } from './bash-completion.ts'
import { commandPage, type GeneratedFile } from './command-page.ts'
import { commandsDocument } from './commands-document.ts'
import { type DescribedProgram, describeProgram } from './described.ts'
import { fishCompletion } from './fish-completion.ts'
import { jsonDocument } from './json-document.ts'
import { MADE_BY } from './markdown.ts'
import { mountHelperPage } from './mount-helper-page.ts'
import { mountOptionsDocument } from './mount-options-document.ts'
import { programPage } from './program-page.ts'
import { xattrPage } from './xattr-page.ts'
import { xattrsDocument } from './xattrs-document.ts'
import { zshCompletion } from './zsh-completion.ts'

/**
 * Below the project. Of `docs/reference` the pages are made that say so; of the other nothing else is there.
 */
export const GENERATED_FOLDERS = ['docs/reference', 'share'] as const

/** The files that are in them now and that were made, by the path below the project. */
export const filesThere = (project: string): string[] =>
  GENERATED_FOLDERS.flatMap((folder) =>
    readdirSync(join(project, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(project, join(entry.parentPath, entry.name)))
      .filter((path) => folder === 'share' || readFileSync(join(project, path), 'utf8').includes(MADE_BY)),
  )

export const COMPLETIONS = {
  bash: 'share/completion/guestmemfs.bash',
  // By its name zsh finds what it completes, below a folder of its fpath.
  zsh: 'share/completion/_guestmemfs',
  fish: 'share/completion/guestmemfs.fish',
} as const

export const manualPages = (program: DescribedProgram): GeneratedFile[] => [
  programPage(program),
  ...program.commands.filter(({ hasPage }) => hasPage).map((command) => commandPage(program, command)),
  mountHelperPage(program),
  xattrPage(program),
]

/** By the path below the project. */
export async function referenceFiles(): Promise<ReadonlyMap<string, string>> {
  const program = await describeProgram()
  return new Map([
    ['docs/reference/commands.md', commandsDocument(program)],
    ['docs/reference/json.md', jsonDocument()],
    ['docs/reference/mount-options.md', mountOptionsDocument()],
    ['docs/reference/xattrs.md', xattrsDocument()],
    ...manualPages(program),
    [COMPLETIONS.bash, bashCompletion(program)],
    [COMPLETIONS.zsh, zshCompletion(program)],
    [COMPLETIONS.fish, fishCompletion(program)],
  ])
}
