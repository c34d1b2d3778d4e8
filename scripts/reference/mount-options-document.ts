/**
 * `docs/reference/mount-options.md`: the words after `-o`, as the manual page of the mount helper has them.
 */
import { fenced, listItem, MADE_BY, markdown } from './markdown.ts'
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

const item = ({ option, about }: MountOptionText): string => listItem(option, about)

const EXAMPLES: readonly string[] = [
  'mount -t guestmemfs guestmemfs /mnt/guestmemfs -o size=10G',
  'mount -t guestmemfs guestmemfs /mnt/guestmemfs -o store=dax,align=1G',
  'mount -o remount,size=20G /mnt/guestmemfs',
]

export const mountOptionsDocument = (): string =>
  `${[
    '# Mount options',
    '',
    `${MADE_BY} from \`src/pool/mount-options.ts\` and`,
    '`scripts/reference/mount-option-table.ts`: change those, not this page. The manual page',
    '`mount.guestmemfs(8)` has the same, and [host.md](host.md) what each of them does to a pool.',
    '',
    ...fenced(EXAMPLES),
    '',
    markdown(SIZES_TEXT),
    '',
    '## Of guestmemfs',
    '',
    ...ownOptionTexts().map(item),
    '',
    '## Of every file system',
    '',
    ...commonOptionTexts().map(item),
    '',
    '## Remount',
    '',
    markdown(REMOUNT_TEXT),
    '',
    ...REMOUNTS.map((each) => listItem(...each)),
    '',
    '## Lines of fstab',
    '',
    ...fenced([FSTAB_LINE]),
    '',
    markdown(FSTAB_TEXT),
    '',
    ...FSTAB_WORDS.map((each) => listItem(...each)),
  ].join('\n')}\n`
