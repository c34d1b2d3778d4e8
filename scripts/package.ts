/**
 * `npm run package`: the Debian package, in `build/`. It asks nothing and needs no root.
 *
 *   npm run package -- --version 0.2.0 --folder DIR
 *
 * The maintainer is that of DEBFULLNAME and DEBEMAIL, as for Debian's own tools; the date that of
 * SOURCE_DATE_EPOCH, else of the last commit.
 */
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { errorText, UsageError } from '../src/values/errors.ts'
import { formatSize } from '../src/values/size.ts'
import { buildPackage } from './package/build-package.ts'

const project = dirname(import.meta.dirname)
/** A name and an address that no one has. */
const NOBODY = { name: 'guestmemfs maintainers', address: 'maintainers@guestmemfs.example' }
/** Half a minute of one processor. */
const SMALL = ['-Zxz', '-z6']

function readOptions(): { version?: string | undefined; folder: string } {
  try {
    const options = {
      version: { type: 'string' },
      folder: { type: 'string', default: join(project, 'build') },
    } as const
    return parseArgs({ options }).values
  } catch (error) {
    throw new UsageError(`${errorText(error)} (known: --version, --folder)`)
  }
}

function dateOfSources(): Date {
  const { SOURCE_DATE_EPOCH: given } = process.env
  const git = ['-C', project, 'log', '-1', '--format=%ct']
  const seconds = Number(given ?? spawnSync('git', git, { encoding: 'utf8' }).stdout)
  return seconds > 0 ? new Date(seconds * 1000) : new Date()
}

try {
  const { DEBFULLNAME: name = NOBODY.name, DEBEMAIL: address = NOBODY.address } = process.env
  const maintainer = `${name} <${address}>`
  const path = await buildPackage({ ...readOptions(), compression: SMALL, maintainer, date: dateOfSources() })
  process.stdout.write(`${path} (${formatSize(statSync(path).size)})\n`)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`package: ${error.message}\n`)
  process.exitCode = 1
}
