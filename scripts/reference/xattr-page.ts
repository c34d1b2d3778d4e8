/** The manual page of the extended attributes by which a mount is read and controlled. */
import { type GeneratedFile, pagePath, seeAlso, sentence, versionOf } from './command-page.ts'
import type { DescribedProgram } from './described.ts'
import { bold, heading, item, literal, manualPage, paragraph, prose } from './groff.ts'
import { CONTROLS, OF_A_FILE, OF_THE_POOL, type XattrText } from './xattr-table.ts'
import {
  OTHER_XATTRS_TEXT,
  UNITS_TEXT,
  XATTR_ERRORS,
  XATTR_EXAMPLES,
  XATTR_PARAGRAPHS,
} from './xattr-texts.ts'

export function xattrPage(program: DescribedProgram): GeneratedFile {
  const name = 'guestmemfs.xattr'
  const lines = [
    heading('Description'),
    ...[...XATTR_PARAGRAPHS, UNITS_TEXT].flatMap(paragraph),
    ...section('The pool', OF_THE_POOL),
    ...section('A file', OF_A_FILE),
    ...section('Control and records', CONTROLS),
    heading('Other attributes'),
    ...paragraph(OTHER_XATTRS_TEXT),
    heading('Errors'),
    ...XATTR_ERRORS.flatMap(([error, about]) => item(bold(error), about)),
    heading('Examples'),
    ...XATTR_EXAMPLES.flatMap(literal),
    heading('See also'),
    ...seeAlso([
      ...['guestmemfs(8)', 'guestmemfs-status(8)', 'mount.guestmemfs(8)', 'getfattr(1)', 'setfattr(1)'],
      ...['xattr(7)', 'docs/reference/host.md', 'docs/internals/handover.md'],
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
