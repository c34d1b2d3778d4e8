/**
 * The installation of a QEMU that is new enough: 8.2 is the first with `cpr-reboot` (QEMU,
 * docs/devel/migration/CPR.rst).
 */
import { spawnSync } from 'node:child_process'
import { UsageError } from '../values/errors.ts'
import {
  type AptHost,
  addSuite,
  candidateOf,
  hasApt,
  installPackages,
  updateLists,
  versionsOf,
} from './apt.ts'
import { askConsent, type Consent } from './consent.ts'
import { osRelease } from './os-release.ts'
import { atLeast, formatVersion, parseVersion, type Version } from './version.ts'

export const QEMU_BINARY = 'qemu-system-x86_64'
export const QEMU_MINIMUM: Version = { major: 8, minor: 2 }
const PACKAGE = 'qemu-system-x86'

/** Version of the QEMU on PATH; `undefined` when it is missing or does not answer. */
export function installedQemu(binary = QEMU_BINARY): Version | undefined {
  const { status, stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8', timeout: 20_000 })
  return status === 0 ? parseVersion(stdout.split('\n')[0] ?? '') : undefined
}

function newEnough(text: string | undefined): boolean {
  const version = text === undefined ? undefined : parseVersion(text)
  return version !== undefined && atLeast(version, QEMU_MINIMUM)
}

/** The suite to install from: `''` when apt's own choice is new enough, `undefined` when no suite has one. */
export function suiteWithQemu(host: AptHost, codename: string): string | undefined {
  if (newEnough(candidateOf(host, PACKAGE))) return ''
  const suites = versionsOf(host, PACKAGE).filter(({ version }) => newEnough(version))
  return suites.find(({ suite }) => suite === `${codename}-backports`)?.suite
}

/**
 * Makes sure that QEMU 8.2 or newer is installed; asks first. `report` gets the progress, a line at a time.
 * Errors: `UsageError` that says what to do when it cannot be installed here, or the operator did not agree.
 */
export async function ensureQemu(
  host: AptHost,
  consent: Consent,
  report: (line: string) => void,
): Promise<Version> {
  const present = installedQemu()
  if (present && atLeast(present, QEMU_MINIMUM)) return present
  const found = present ? `QEMU ${formatVersion(present)} is too old` : 'QEMU is missing'
  if (!hasApt()) throw new UsageError(`${found}: install QEMU ${formatVersion(QEMU_MINIMUM)} or newer`)
  if (process.getuid?.() !== 0) throw new UsageError(`${found}: run \`npm run setup\` as root`)
  if (!(await askConsent(`${found}. Install ${PACKAGE} with apt?`, consent))) {
    throw new UsageError(`${found}: install QEMU ${formatVersion(QEMU_MINIMUM)} or newer`)
  }
  installQemu(host, report)
  const now = installedQemu()
  if (!now || !atLeast(now, QEMU_MINIMUM))
    throw new UsageError(`${PACKAGE} was installed, but ${QEMU_BINARY} is still too old`)
  return now
}

function installQemu(host: AptHost, report: (line: string) => void): void {
  const { id, codename, prettyName } = osRelease()
  report('reading the package lists (apt-get update)')
  updateLists(host)
  let suite = suiteWithQemu(host, codename)
  if (suite === undefined && id === 'debian') {
    for (const file of addSuite(host, `${codename}-backports`, codename)) report(`wrote ${file}`)
    updateLists(host)
    suite = suiteWithQemu(host, codename)
  }
  if (suite === undefined) {
    throw new UsageError(
      `${prettyName} has no QEMU ${formatVersion(QEMU_MINIMUM)} or newer: install one yourself`,
    )
  }
  report(`installing ${PACKAGE}${suite === '' ? '' : ` from ${suite}`}`)
  installPackages(host, [PACKAGE], suite === '' ? undefined : suite)
}
