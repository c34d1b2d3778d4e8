/** The manual page of the mount helper: what mount(8) and lines of fstab(5) say to it. */
import { type GeneratedFile, pagePath, seeAlso, versionOf } from './command-page.ts'
import type { DescribedProgram } from './described.ts'
import { bold, heading, item, literal, manualPage, paragraph, subheading, term } from './groff.ts'
import {
  commonOptionTexts,
  FSTAB_LINE,
  FSTAB_TEXT,
  FSTAB_WORDS,
  type MountOptionText,
  ownOptionTexts,
  REMOUNT_TEXT,
  REMOUNTS,
  SIZES_TEXT,
} from './mount-option-table.ts'

const STATUSES: readonly (readonly [string, string])[] = [
  ['0', 'The pool is mounted, or remounted.'],
  [
    '1',
    `
      It is not, and one line on standard error says why. After a remount that was refused nothing has
      changed.`,
  ],
]

export function mountHelperPage(program: DescribedProgram): GeneratedFile {
  const name = 'mount.guestmemfs'
  const lines = [
    heading('Synopsis'),
    `${bold('mount -t guestmemfs')} ${term('<pool> <mountpoint>')} [${bold('-o')} ${term('<options>')}]`,
    '.PP',
    `${bold('mount -o remount,')}${term('<options> <mountpoint>')}`,
    '.PP',
    [
      `${bold(name)} ${term('<pool> <mountpoint>')} [${bold('-sfnv')}]`,
      `[${bold('-N')} ${term('<namespace>')}]`,
      `[${bold('-o')} ${term('<options>')}] [${bold('-t')} ${term('<type>')}]`,
    ].join(' '),
    heading('Description'),
    ...paragraph(
      `
        mount(8) calls this helper, which *guestmemfs install* or the Debian package puts into /sbin, and it
        calls *guestmemfs mount*. The first argument is the name of the pool: 1 to 64 of the characters A-Z a-z 0-9 _ . and -,
        of which the first is no dot.`,
    ),
    ...paragraph(
      `
        A pool of that name that is parked, that the former kernel handed over, or that lies in a region is
        mounted with its files; else a new one is made. *-f* mounts nothing, *-v* prints what was mounted,
        *-N* is refused; *-s*, *-n* and *-t* change nothing. An option that is none of those below is
        refused by its name.`,
    ),
    ...paragraph(
      `
        For a remount mount(8) calls /sbin/mount.fuse.guestmemfs, the same helper. Without that file it
        would ask the kernel, which answers success and changes nothing.`,
    ),
    heading('Options'),
    ...paragraph(SIZES_TEXT),
    subheading('Of guestmemfs'),
    ...ownOptionTexts().flatMap(optionItem),
    subheading('Of every file system'),
    ...commonOptionTexts().flatMap(optionItem),
    heading('Remount'),
    ...paragraph(REMOUNT_TEXT),
    ...REMOUNTS.flatMap(([typed, about]) => item(typedWords(typed), about)),
    heading('Lines of fstab'),
    ...literal(FSTAB_LINE),
    ...paragraph(FSTAB_TEXT),
    ...FSTAB_WORDS.flatMap(([typed, about]) => item(typedWords(typed), about)),
    heading('Exit status'),
    ...STATUSES.flatMap(([status, about]) => item(bold(status), about)),
    heading('Examples'),
    ...literal('mount -t guestmemfs guestmemfs /mnt/guestmemfs -o size=10G'),
    ...literal('mount -t guestmemfs guestmemfs /mnt/guestmemfs -o store=dax,align=1G'),
    ...literal('mount -o remount,size=20G /mnt/guestmemfs'),
    heading('See also'),
    ...seeAlso([
      ...['guestmemfs(8)', 'guestmemfs-mount(8)', 'guestmemfs-umount(8)', 'guestmemfs.xattr(7)'],
      ...[
        'mount(8)',
        'fstab(5)',
        'docs/reference/host.md',
        'docs/guide/stores.md',
        'docs/guide/carve-out.md',
      ],
    ]),
  ]
  const summary = 'mount a pool of guestmemfs'
  return [pagePath(name, 8), manualPage({ name, section: 8, summary, version: versionOf(program), lines })]
}

/** Words with commas between them, and `SIZE` after an equals sign for a value. */
const typedWords = (words: string): string => words.split(', ').map(typedWord).join(', ')

function typedWord(word: string): string {
  const [, key = word, value = ''] = /^([^=]*=)(.*)$/.exec(word) ?? []
  return value === '' ? bold(key) : `${bold(key)}${term(`<${value}>`)}`
}

const optionItem = ({ option, about }: MountOptionText): string[] => item(typedWords(option), about)
