/**
 * The proof of the Debian package in a booted host with systemd, as an operator has it: installed by dpkg, a
 * pool by a line of fstab, upgraded under a running guest, removed and purged; and installed over what
 * `guestmemfs install` wrote, under a running guest as well.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { buildPackage } from '../../scripts/package/build-package.ts'
import { PACKAGE_LIBRARY } from '../../src/host/versions/version-folder.ts'
import { cacheFolder } from '../cache.ts'
import { withFreshLists } from '../debian/apt.ts'
import { dpkgStatus } from '../debian/dpkg-status.ts'
import { FILES, guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { appendText } from '../scenario/append-text.ts'
import { expectClean, keeperPid, onlyVm, poolStatus, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const DIRECTORY = '/mnt/guestmemfs'
const MEBIBYTES = 128
const GUESTS = ['first', 'second'] as const
/** Of the program, in two packages of the same sources. */
const [FORMER, NEXT] = ['1.0', '1.1'] as const
/** That of the package; the testbed's own is found first in the host's PATH. */
const GUESTMEMFS = '/usr/bin/guestmemfs'
/** Whichever is installed. */
const VM_UNIT = `[Service]
ExecStart=/usr/bin/env guestmemfs run --name %i -- ${guestCommand({ name: '%i', mebibytes: MEBIBYTES })}
`

/** What dpkg itself calls, `man`, and what restarts units by Debian's rules. */
const PACKAGES = ['diffutils', 'dpkg', 'init-system-helpers', 'libc-bin', 'man-db', 'perl-base', 'sed', 'tar']
/** The package depends on them. */
const NEEDED = ['libc6', 'libgcc-s1', 'libstdc++6', 'mount']

async function packageOf(version: string): Promise<Uint8Array> {
  const folder = mkdtempSync(join(cacheFolder('packages'), `${version}.building-${process.pid}-`))
  try {
    const path = await buildPackage({
      version,
      folder,
      compression: ['-Zgzip', '-z1'],
      maintainer: 'the testbed <testbed@host.example>',
      date: new Date(),
    })
    return readFileSync(path)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const debianPackage: Scenario = {
  about:
    'the Debian package: installed, upgraded under a guest, removed and purged; over `guestmemfs install`',
  tier: 'long',
  init: 'systemd',
  memory: '3G',
  timeoutMs: 1800_000,
  packages: PACKAGES,
  files: async () => ({
    'former.deb': await packageOf(FORMER),
    'next.deb': await packageOf(NEXT),
    'dpkg-status': Buffer.from(dpkgStatus(await withFreshLists((apt) => apt.closure(NEEDED)))),
    ...Object.fromEntries(
      GUESTS.map((name, index) => [name, buildTinyGuest({ mebibytes: 32, seed: index + 1 })]),
    ),
  }),
  async run(stage) {
    const { phase } = stage
    await phase('install', () => install(stage))
    await phase('pages and completions', () => expectPages(stage))
    await phase('fstab and a guest', () => startGuest(stage, 'first'))
    await expectVersion(stage, FORMER)
    await phase('upgrade', () => upgrade(stage))
    await phase('removal is refused', () => expectRefused(stage))
    await phase('remove', () => remove(stage))
    await phase('purge', () => purge(stage))
    await phase('guestmemfs install', () => stage.host.run('guestmemfs install --yes'))
    await phase('another guest', () => startGuest(stage, 'second'))
    await phase('the package over it', () => installOver(stage))
  },
}

const dpkg = ({ host }: Stage, words: string): Promise<string> =>
  host.run(`dpkg ${words} 2>&1`, { timeoutMs: 600_000 })

async function install(stage: Stage): Promise<void> {
  const { host, keep, expect } = stage
  keep('systemd', await host.run('systemctl --version | head -1'))
  await host.run(`mkdir -p /var/lib/dpkg/{info,updates,triggers}; touch /var/lib/dpkg/available
    cp ${FILES}/dpkg-status /var/lib/dpkg/status; chmod 644 /var/lib/dpkg/status`)
  keep('installation', await dpkg(stage, `-i ${FILES}/former.deb`))
  expect('status', await status(stage), `install ok installed ${FORMER}-1`)
  expect('version', await host.run(`${GUESTMEMFS} --version`), FORMER)
  await host.run(`mkdir -p ${DIRECTORY}
    ${appendText('/etc/fstab', `guestmemfs ${DIRECTORY} guestmemfs size=1G,nofail 0 0\n`)}
    ${appendText('/etc/systemd/system/vm@.service', VM_UNIT)}
    systemctl daemon-reload`)
}

const status = ({ host }: Stage): Promise<string> =>
  host.run(`dpkg-query -W -f '\${Status} \${Version}' guestmemfs`)

async function expectPages({ host, keep, expect }: Stage): Promise<void> {
  const pages = await host.run('man -w guestmemfs mount.guestmemfs guestmemfs.xattr')
  expect('manual pages', pages.split('\n'), [
    '/usr/share/man/man8/guestmemfs.8.gz',
    '/usr/share/man/man8/mount.guestmemfs.8.gz',
    '/usr/share/man/man7/guestmemfs.xattr.7.gz',
  ])
  keep('page', await host.run('man -P cat guestmemfs 2>&1 | sed -n 1,4p || true'))
  // As at a prompt: no error ends an interactive shell.
  const completed = await host.run(`bash <<'LINES'
. /usr/share/bash-completion/completions/guestmemfs
complete -p guestmemfs
COMP_WORDS=(guestmemfs li) COMP_CWORD=1
_guestmemfs
echo "\${COMPREPLY[*]}"
LINES`)
  expect('completion', completed, /^complete .*guestmemfs\nlist live-update$/)
}

/** In a unit of its own, so that it outlives the agent's commands. */
async function startGuest({ host, guest, expect }: Stage, name: string): Promise<void> {
  await host.run(`mount ${DIRECTORY}`)
  const units = await host.run('systemctl is-active guestmemfs@guestmemfs mnt-guestmemfs.mount')
  expect(`units with ${name}`, units.split('\n'), ['active', 'active'])
  await host.run(`cd ${DIRECTORY}; touch ${name}-ram; truncate -s ${MEBIBYTES}M ${name}-ram
    systemctl start vm@${name}`)
  await guest(name).waitForTicks(5)
}

/** Keeper and server run from the folder of that version of the package. */
async function expectVersion({ host, expect }: Stage, version: string): Promise<void> {
  const { server } = await poolStatus(host)
  const pids = [await keeperPid(host), server.pid]
  const programs = await host.run(`readlink ${pids.map((pid) => `/proc/${pid}/exe`).join(' ')}`)
  const folders = programs.split('\n').map((path) => path.replace(/-[0-9a-f]{12}\/bin\/node$/, ''))
  const folder = `${PACKAGE_LIBRARY}/${version}`
  expect(`keeper and server of ${version}`, folders, [folder, folder])
}

async function upgrade(stage: Stage): Promise<void> {
  const { host, guest, keep, expect } = stage
  const { name, state, pid } = await onlyVm(host)
  await host.run(`echo here >${DIRECTORY}/file`)
  const said = await dpkg(stage, `-i ${FILES}/next.deb`)
  keep('what the upgrade said', said)
  await guest('first').waitForTicks(5)
  await expectVersion(stage, NEXT)
  expect('status after the upgrade', await status(stage), `install ok installed ${NEXT}-1`)
  const after = await onlyVm(host)
  expect('the guest’s QEMU', [after.name, after.state, after.pid], [name, state, pid])
  expect('a file', await host.run(`cat ${DIRECTORY}/file`), 'here')
  // The watcher is of the version that started the guest, which stays for it.
  expect(
    'the former version',
    said,
    new RegExp(`^kept version ${FORMER}-[0-9a-f]+: process \\d+ runs it$`, 'm'),
  )
  await expectClean(stage)
}

async function expectRefused(stage: Stage): Promise<void> {
  const { host, guest, expect } = stage
  const mounted = await refusal(host, 'dpkg -r guestmemfs')
  expect(
    'removal while mounted',
    mounted,
    /^guestmemfs: pools are in use: guestmemfs \(mounted on \/mnt\/guestmemfs\): /m,
  )
  await guest('first').waitForTicks(3)
  await expectVersion(stage, NEXT)
  expect('version after the refusal', await host.run(`${GUESTMEMFS} --version`), NEXT)
  await host.run(`systemctl stop vm@first; ${GUESTMEMFS} umount guestmemfs`)
  const parked = await refusal(host, 'dpkg -r guestmemfs')
  expect('removal while parked', parked, /^guestmemfs: pools are in use: guestmemfs \(parked\): /m)
}

async function remove(stage: Stage): Promise<void> {
  const { host, keep, expect } = stage
  await host.run(`${GUESTMEMFS} umount --discard guestmemfs`)
  const said = await dpkg(stage, '-r guestmemfs')
  keep('what the removal said', said)
  expect('fstab', said, /^guestmemfs: a line of \/etc\/fstab mounts a pool: /m)
  expect('status after the removal', await status(stage), new RegExp(`^deinstall ok config-files ${NEXT}-1$`))
}

async function purge(stage: Stage): Promise<void> {
  const { host, keep, expect } = stage
  await dpkg(stage, '-P guestmemfs')
  const left = await host.run(`find / -xdev -path /var/log -prune -o -iname '*guestmemfs*' -print
    find /run -maxdepth 1 -iname '*guestmemfs*'`)
  expect('what is left', left, DIRECTORY)
  keep('units', await host.run('systemctl --no-legend --plain --all list-units "guestmemfs*"'))
}

async function installOver(stage: Stage): Promise<void> {
  const { host, guest, keep, expect } = stage
  const said = await dpkg(stage, `-i ${FILES}/next.deb`)
  keep('what it said over an installation', said)
  expect('the installation', said, /^removed what 'guestmemfs install' had written$/m)
  await guest('second').waitForTicks(5)
  await expectVersion(stage, NEXT)
  const unit = await host.run('systemctl show -P FragmentPath guestmemfs@guestmemfs.service')
  expect('unit', unit, '/usr/lib/systemd/system/guestmemfs@.service')
  const left = await host.run(
    "for folder in /etc /usr/local/bin /usr/local/share; do [ ! -d $folder ] || find $folder -iname '*guestmemfs*'; done",
  )
  expect('files of the installation', left, '')
  await expectClean(stage, 'fsck under the package')
}
