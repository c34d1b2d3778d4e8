/** The manual page of the program: its commands under their headings, and what all of them share. */
import {
  type GeneratedFile,
  pageName,
  pagePath,
  seeAlso,
  sentence,
  termItem,
  versionOf,
} from './command-page.ts'
import type { DescribedCommand, DescribedProgram } from './described.ts'
import { bold, heading, item, manualPage, paragraph, subheading, term } from './groff.ts'

/** Pages that are not of a command. */
export const OTHER_PAGES = ['mount.guestmemfs(8)', 'guestmemfs.xattr(7)']

/** Of every command: docs/reference/host.md has more of it. */
const STATUSES: readonly (readonly [string, string])[] = [
  ['0', 'What was asked for was done.'],
  [
    '1',
    `
      It was not done, or not all of it; each reason is one line on standard error. Also where standard
      output could not be written, as on a full disk, though the work was done.`,
  ],
  ['128+N', 'A command that changes guests was stopped by signal N between two of its steps.'],
  [
    '141',
    `
      A command that only reads was ended by SIGPIPE, because the reader of its output had ended. A command
      that changes something does all of it without a reader.`,
  ],
]

const FILES: readonly (readonly [string, string])[] = [
  ['/run/guestmemfs/pools/POOL.log', 'Log of the processes of a pool.'],
  ['/run/guestmemfs/vm/NAME/log', 'What a QEMU that has no terminal writes.'],
  [
    '/usr/local/lib/guestmemfs/, /usr/lib/guestmemfs/versions/',
    `
      Versions that *guestmemfs install*, or the Debian package, has installed; the link *current* leads to
      the one that the machine runs.`,
  ],
  ['/sbin/mount.guestmemfs', 'What mount(8) calls for *-t guestmemfs* and for lines of fstab(5).'],
]

export function programPage(program: DescribedProgram): GeneratedFile {
  const { name, description, commands, options } = program
  const groups = [...new Set(commands.map(({ group }) => group))]
  const lines = [
    heading('Synopsis'),
    `${bold(name)} ${term('<command>')} [${term('<argument>')} ...]`,
    heading('Description'),
    ...paragraph(`${description}.`),
    ...paragraph(
      `
        A pool is a file system that is mounted on a directory. A file of it is the RAM of a virtual
        machine, whose QEMU *guestmemfs run* starts. QEMU, the processes of the pool and the kernel can then
        be replaced, while that memory stays where it is.`,
    ),
    ...paragraph(
      `
        Every command prints for people, and with *--json*, where it has that option, one object for
        programs, whose keys docs/reference/json.md lists. Each command that changes something leaves a line in the journal:
        *journalctl -t guestmemfs*.`,
    ),
    heading('Commands'),
    ...groups.flatMap((group) => [
      subheading(group),
      ...commands.filter((command) => command.group === group).flatMap((each) => entry(program, each)),
    ]),
    heading('Options'),
    ...options.flatMap(termItem),
    heading('Exit status'),
    ...STATUSES.flatMap(([status, about]) => item(bold(status), about)),
    heading('Files'),
    ...FILES.flatMap(([path, about]) => item(bold(path), about)),
    heading('See also'),
    ...seeAlso([
      ...commands.filter(({ hasPage }) => hasPage).map((command) => `${pageName(program, command)}(8)`),
      ...OTHER_PAGES,
      ...[
        'docs/guide/live-update.md',
        'docs/guide/stores.md',
        'docs/reference/host.md',
        'docs/reference/json.md',
      ],
    ]),
  ]
  const page = { name, section: 8, summary: description, version: versionOf(program), lines } as const
  return [pagePath(name, 8), manualPage(page)]
}

/** One that has no page of its own has its arguments here. */
function entry(program: DescribedProgram, command: DescribedCommand): string[] {
  const { name, aliases, summary, usage, hasPage } = command
  const also = aliases.map((alias) => ` (or *${alias}*)`).join('')
  const page = hasPage ? ` See ${pageName(program, command)}(8).` : ''
  const head = hasPage ? bold(name) : `${bold(name)} ${term(usage.replace('[options] ', ''))}`
  return item(head, `${sentence(summary)}${also}.${page}`)
}
