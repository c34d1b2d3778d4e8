/**
 * A plan's words as each way to start a kernel must have them, escaped. Pure. Must not: write a file. The
 * operator does, who can repair a machine that does not boot.
 */
import { formatBytes } from '../linux/memmap.ts'
import { shellWord } from '../values/shell-word.ts'
import type { ReservePlan } from './reserve-plan.ts'

/** Something to put into a file, and what to do after it. */
export interface BootFile {
  readonly path: string
  readonly text: string
  readonly command: string
}

/**
 * For grub-mkconfig, one file for each plan. It is a piece of sh, and what it sets is copied into grub.cfg,
 * which is a script again: there `$`, quotes, `\` and a shell's signs would be GRUB's own, so each gets a
 * backslash, and sh's single quotes keep that. `%` means nothing to either.
 */
export function grubFile({ ranges, addWords }: Pick<ReservePlan, 'ranges' | 'addWords'>): BootFile {
  const words = singleQuoted(addWords.map(grubWord).join(' '))
  return {
    path: `/etc/default/grub.d/50-guestmemfs-${formatBytes(ranges[0]?.range.start ?? 0)}.cfg`,
    text: `# RAM set aside for guestmemfs. To undo: delete this file, run update-grub, reboot.\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX "${words}\n`,
    command: 'update-grub',
  }
}

const grubWord = (word: string): string => word.replace(/[\\$"'`;&|<>{}#]/g, '\\$&')
const singleQuoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** For kernel-install(8) and systemd-boot, which take the whole line as it is. */
export const kernelInstallFile = ({ commandLine }: ReservePlan): BootFile => ({
  path: '/etc/kernel/cmdline',
  text: `${commandLine}\n`,
  command: 'kernel-install add "$(uname -r)" "/boot/vmlinuz-$(uname -r)"',
})

/** For a shell. The name of the initrd is Debian's. */
export const kexecCommand = ({ commandLine }: ReservePlan): string =>
  `kexec -s -l "/boot/vmlinuz-$(uname -r)" --initrd="/boot/initrd.img-$(uname -r)" --command-line=${shellWord(commandLine)}`

/** For the boot entries that grubby edits (Fedora, RHEL), in words for a shell. */
export const grubbyCommand = ({ addWords, dropWords }: ReservePlan): string =>
  [
    'grubby --update-kernel=ALL',
    ...(dropWords.length === 0 ? [] : [`--remove-args=${singleQuoted(dropWords.join(' '))}`]),
    `--args=${singleQuoted(addWords.join(' '))}`,
  ].join(' ')
