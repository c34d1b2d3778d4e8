/** The manual page of the extended attributes by which a mount is read and controlled. */
import { type GeneratedFile, pagePath, seeAlso, sentence, versionOf } from './command-page.ts'
import type { DescribedProgram } from './described.ts'
import { bold, heading, item, literal, manualPage, paragraph, prose } from './groff.ts'
import { CONTROLS, OF_A_FILE, OF_THE_POOL, type XattrText } from './xattr-table.ts'

/** Of each of them, also where its entry does not say so. */
const ERRORS: readonly (readonly [string, string])[] = [
  [
    'ENODATA',
    'There is no such xattr here; or a name that begins with trusted. is read without CAP_SYS_ADMIN.',
  ],
  [
    'EPERM',
    `
      One that no process can set is set or removed; or one that begins with trusted. is set without
      CAP_SYS_ADMIN.`,
  ],
  ['EBUSY', 'One that is stored is removed while the pool is frozen.'],
  ['ERANGE', 'The value is longer than the buffer of the caller.'],
  ['ENOTCONN', 'The processes of the pool have ended.'],
]

export function xattrPage(program: DescribedProgram): GeneratedFile {
  const name = 'guestmemfs.xattr'
  const lines = [
    heading('Description'),
    ...paragraph(
      `
        A mount of guestmemfs is read and controlled by extended attributes (xattr(7)) of its files:
        getfattr(1) and setfattr(1) are enough, and the commands of guestmemfs(8) use nothing else.`,
    ),
    ...paragraph(
      `
        Values whose names begin with guestmemfs. are computed at each read, and neither stored nor listed.
        Each is JSON with integers, in the unit that the name of its field ends in. Fields are added in
        later versions: leave those alone that you do not know. A list that is longer than 64 KiB comes in
        pages: NAME or NAME.0 is the first one, NAME.1 the next, and the first page that is not there
        answers ENODATA. Each page is a JSON array of its own.`,
    ),
    ...paragraph(
      `
        Those whose names begin with trusted.guestmemfs. are not listed either, so that no copy of a file
        has them. An end of line after a value that is set is left out, but for those that are JSON objects.`,
    ),
    ...paragraph(
      `
        A pool of the store *dax* shows guest RAM as symbolic links: there *-h* of getfattr(1) and
        setfattr(1) takes the attribute of the file itself.`,
    ),
    ...section('The pool', OF_THE_POOL),
    ...section('A file', OF_A_FILE),
    ...section('Control and records', CONTROLS),
    heading('Other attributes'),
    ...paragraph(
      `
        Files have user., trusted. and security. attributes as on other file systems: 64 KiB a value, and 64
        KiB for the list of names. Those that begin with system., and so ACLs, are refused with EOPNOTSUPP.`,
    ),
    heading('Errors'),
    ...ERRORS.flatMap(([error, about]) => item(bold(error), about)),
    heading('Examples'),
    ...literal('getfattr --only-values -n guestmemfs.health /mnt/guestmemfs'),
    ...literal('setfattr -n trusted.guestmemfs.align -v 1G /mnt/guestmemfs/big'),
    ...literal('setfattr -n trusted.guestmemfs.size -v 4294967296 /mnt/guestmemfs/ram'),
    heading('See also'),
    ...seeAlso([
      ...['guestmemfs(8)', 'guestmemfs-status(8)', 'mount.guestmemfs(8)', 'getfattr(1)', 'setfattr(1)'],
      ...['xattr(7)', 'docs/host.md', 'docs/handover.md'],
    ]),
  ]
  const summary = 'extended attributes of a mount of guestmemfs'
  return [pagePath(name, 7), manualPage({ name, section: 7, summary, version: versionOf(program), lines })]
}

const section = (title: string, texts: readonly XattrText[]): string[] => [
  heading(title),
  ...texts.flatMap(entry),
]

function entry({ name, on, read, set, value, errors = [] }: XattrText): string[] {
  const who = set === undefined ? 'Set by no process.' : `Set by ${set}.`
  return [
    ...item(bold(name), `On ${on}. Read by ${read}. ${who}`),
    ...['.IP', ...prose(value)],
    ...errors.flatMap((error) => ['.IP', ...prose(sentence(error))]),
  ]
}
