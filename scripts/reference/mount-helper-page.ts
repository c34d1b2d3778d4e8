/** The manual page of the mount helper: what mount(8) and lines of fstab(5) say to it. */
import { type GeneratedFile, pagePath, seeAlso, versionOf } from './command-page.ts'
import type { DescribedProgram } from './described.ts'
import { bold, heading, item, literal, manualPage, paragraph, subheading, term } from './groff.ts'
import { commonOptionTexts, type MountOptionText, ownOptionTexts } from './mount-option-table.ts'

/** docs/host.md has the same with what each does to a pool. */
const REMOUNTS: readonly (readonly [typed: string, about: string])[] = [
  ['ro, rw, noexec, noatime, ...', 'The mount has them.'],
  [
    'size=',
    `
      The pool has that size at once, larger or smaller, while guests run. Refused, with the least size that
      it can have, where more is in use; while it is frozen; where the mount is read-only; for a region; and
      where the image is of format 1, which *guestmemfs upgrade* changes.`,
  ],
  ['store=, region=', 'Refused where they are others than the pool has.'],
  [
    'mode=, uid=, gid=, align=, new',
    'Without effect: they are for the making of a pool, and the mount of one.',
  ],
]

const LINES: readonly (readonly [typed: string, about: string])[] = [
  [
    'nofail',
    `
      A boot goes on when the mount fails; without it, it stops in emergency mode. guestmemfs-resume.service
      waits for the mount in both cases, done or failed.`,
  ],
  ['noauto', 'The resume of saved guests waits for it only if something else mounts it in the same boot.'],
  ['0 0', 'The last two fields: there is nothing to dump, and no fsck(8) at boot.'],
]

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
    subheading('Of guestmemfs'),
    ...ownOptionTexts().flatMap(optionItem),
    subheading('Of every file system'),
    ...commonOptionTexts().flatMap(optionItem),
    heading('Remount'),
    ...paragraph(
      `
        mount(8) adds what the line of fstab(5) says to each remount: after *remount,size=20G* a
        *remount,ro* brings the size of that line back. So change the line as well.`,
    ),
    ...REMOUNTS.flatMap(([typed, about]) => item(typedWords(typed), about)),
    heading('Lines of fstab'),
    ...literal('guestmemfs  /mnt/guestmemfs  guestmemfs  store=dax,nofail  0  0'),
    ...paragraph(
      `
        At boot it is mounted, and by *mount -a* and *mount /mnt/guestmemfs*. guestmemfs-resume.service,
        which is installed with the helper, is ordered after each such line and resumes the saved guests.`,
    ),
    ...LINES.flatMap(([typed, about]) => item(typedWords(typed), about)),
    heading('Exit status'),
    ...STATUSES.flatMap(([status, about]) => item(bold(status), about)),
    heading('Examples'),
    ...literal('mount -t guestmemfs guestmemfs /mnt/guestmemfs -o size=10G'),
    ...literal('mount -t guestmemfs guestmemfs /mnt/guestmemfs -o store=dax,align=1G'),
    ...literal('mount -o remount,size=20G /mnt/guestmemfs'),
    heading('See also'),
    ...seeAlso([
      ...['guestmemfs(8)', 'guestmemfs-mount(8)', 'guestmemfs-umount(8)', 'guestmemfs.xattr(7)'],
      ...['mount(8)', 'fstab(5)', 'docs/host.md', 'docs/stores.md', 'docs/carve-out.md'],
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
