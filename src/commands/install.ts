/**
 * `guestmemfs install`: copy this version of the program to its own folder, and the mount helper, the
 * command, the systemd unit, manual pages and completions to where the system looks for them.
 */
import type { CommandModule } from '../cli/command.ts'
import { print } from '../cli/print.ts'
import { askConsent } from '../host/consent.ts'
import { currentCommand, type InstallFile, installFiles, LOCAL_PLACES } from '../host/install-files.ts'
import { type InstalledProgram, installProgram } from '../host/install-program.ts'
import { hasLibvirtFiles, libvirtFiles } from '../host/libvirt-files.ts'
import { thisProgram } from '../host/this-program.ts'
import { LIBRARY } from '../host/versions/version-folder.ts'
import { checkLibvirt, libvirtAdvice, refuseWhileSaved } from '../libvirt/set-up.ts'
import { READ_FORMATS } from '../pool/formats.ts'
import { reloadUnits } from '../pool/systemd-unit.ts'
import { UsageError } from '../values/errors.ts'

interface InstallOptions {
  readonly prefix: string
  readonly yes?: boolean
  /** undefined: as the install before. */
  readonly libvirt?: boolean
}

async function installHere({ prefix, yes, libvirt }: InstallOptions): Promise<void> {
  if (libvirt) await checkLibvirt()
  const hasLibvirt = libvirt ?? hasLibvirtFiles(prefix)
  if (!hasLibvirt) refuseWhileSaved(prefix)
  const files = wantedFiles(prefix, hasLibvirt)
  const paths = files.map(({ path }) => path).join(', ')
  const question = `Put this version into ${LIBRARY}, and write ${paths}, manual pages and completions below ${prefix}?`
  if (!(await askConsent(question, { yes: yes === true }))) throw new UsageError('nothing was installed')
  const done = installProgram(prefix, thisProgram(), READ_FORMATS, files)
  reloadUnits(prefix)
  report(done)
  if (libvirt) for (const line of libvirtAdvice()) print(line)
}

function wantedFiles(prefix: string, hasLibvirt: boolean): InstallFile[] {
  const command = currentCommand(prefix)
  return [...installFiles(command), ...(hasLibvirt ? libvirtFiles(command) : [])]
}

function report(done: InstalledProgram): void {
  const { version, wasThere, former, written, edited, removed, linked, versions } = done
  print(`${LIBRARY}/${version}${wasThere ? ': there already' : ''}`)
  if (former !== undefined && former !== version) print(`current: ${version}, before: ${former}`)
  const isShared = (path: string): boolean => path.includes(`${LOCAL_PLACES.share}/`)
  for (const path of written.filter((each) => !isShared(each))) print(path)
  const shared = written.filter(isShared).length
  if (shared > 0) print(`${shared} manual pages and completions below ${LOCAL_PLACES.share}`)
  for (const path of linked.filter((each) => !isShared(each)))
    print(`left ${path}: it is npm's link to the package that npm has installed`)
  const pages = linked.filter(isShared).length
  if (pages > 0) print(`left ${pages} links of npm's below ${LOCAL_PLACES.share}: npm removes them itself`)
  for (const { path, beside } of edited)
    print(`kept ${path}: it was changed since; this version's is ${beside}: 'mv ${beside} ${path}' takes it`)
  for (const path of removed) print(`removed ${path}: this version has none`)
  for (const name of versions.removed) print(`removed version ${name}: no process runs it`)
  for (const { name, pids } of versions.used)
    print(`kept version ${name}: process ${pids.join(', ')} runs it`)
}

export const command: CommandModule = {
  name: 'install',
  group: 'Setup',
  summary: 'install this version, the mount helper, the command and the systemd unit',
  description: `
    Copies this program, the packages that it needs and the Node that runs it into a folder of their own
    below /usr/local/lib/guestmemfs, and makes that version the current one: the mount helpers, the
    command and the units run it from then on. What runs already changes nothing: a pool's processes are
    of the new version after 'systemctl restart guestmemfs@POOL'. A former version stays as long as a
    process runs it. A file that an operator has changed stays, and the new one is written beside it.

    Manual pages and completions of bash, zsh and fish go below /usr/local/share. What npm has linked there
    stays npm's. It is refused where the Debian package is installed.

    With --libvirt it installs the hook and what else libvirt's guests need to have their RAM in a pool, and
    prints what is to be set in libvirt's qemu.conf. A later install keeps that.`,
  examples: [
    { about: 'install, without a question', typed: 'guestmemfs install --yes' },
    { about: "on a host whose guests are libvirt's", typed: 'guestmemfs install --libvirt' },
    {
      about: 'go back to a former version',
      typed: '/usr/local/lib/guestmemfs/VERSION/guestmemfs install',
    },
  ],
  seeAlso: [
    'guestmemfs-uninstall(8)',
    'guestmemfs-upgrade(8)',
    'docs/guide/versions.md',
    'docs/guide/libvirt.md',
  ],
  changes: true,
  register: (command) =>
    command
      .option('--prefix <dir>', 'install below this directory, and run from there', '/')
      .option('-y, --yes', 'do not ask')
      .option('--libvirt', "what libvirt's guests need to be in a pool as well")
      .option('--no-libvirt', 'without that, also where it was installed before')
      .action(installHere),
}
