/**
 * What is in the Debian package besides the program: the files of the machine, manual pages, completions and
 * documents, each with its path and its bytes. Must not: write one.
 */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { currentCommand, installFiles, PACKAGE_PLACES } from '../../src/host/install-files.ts'
import { shareFiles } from '../../src/host/share-files.ts'
import { PACKAGE_LIBRARY } from '../../src/host/versions/version-folder.ts'
import { NODE_LICENSES } from './documents.ts'

export interface PackageFile {
  /** From the root, with a slash in front. */
  readonly path: string
  readonly mode: number
  readonly bytes: Uint8Array
}

export interface PackageLink {
  readonly path: string
  readonly target: string
}

export interface Documents {
  readonly changelog: string
  readonly copyright: string
  readonly overrides: string
  readonly nodeLicenses: string
}

const DOCUMENTS = '/usr/share/doc/guestmemfs'
/** With all that they link to, in the same folders as in the sources. */
const PAGES = ['*.md', 'docs/**/*.{md,svg}', 'testbed/README.md', 'bench/results/*']

/** There from the beginning, and empty: the package's scripts fill it. */
export const EMPTY_FOLDERS = [PACKAGE_LIBRARY]

/** mount(8) calls the same helper by another name. */
export const LINKS: readonly PackageLink[] = [
  { path: `${PACKAGE_PLACES.share}/man/man8/mount.fuse.guestmemfs.8.gz`, target: 'mount.guestmemfs.8.gz' },
]

/** As `gzip -9n`: without a name and a time, so that the same sources make the same package. */
const compressed = (text: string): Uint8Array => gzipSync(text, { level: 9, memLevel: 9 })

/** `project`: the folder of the sources. */
export function packageFiles(project: string, documents: Documents): PackageFile[] {
  const files = [
    ...installFiles(currentCommand('/', PACKAGE_LIBRARY), PACKAGE_PLACES),
    ...shareFiles(project, PACKAGE_PLACES),
  ].map(({ path, mode, text }) =>
    isPage(path)
      ? { path: `${path}.gz`, mode, bytes: compressed(text) }
      : { path, mode, bytes: Buffer.from(text) },
  )
  const file = (path: string, bytes: Uint8Array): PackageFile => ({ path, mode: 0o644, bytes })
  return [
    ...files,
    ...globSync(PAGES, { cwd: project })
      .sort()
      .map((path) => file(`${DOCUMENTS}/${path}`, readFileSync(join(project, path)))),
    file(`${DOCUMENTS}/copyright`, Buffer.from(documents.copyright)),
    file(`${DOCUMENTS}/changelog.Debian.gz`, compressed(documents.changelog)),
    file(`${DOCUMENTS}/${NODE_LICENSES}`, compressed(documents.nodeLicenses)),
    file('/usr/share/lintian/overrides/guestmemfs', Buffer.from(documents.overrides)),
  ]
}

const isPage = (path: string): boolean => path.startsWith(`${PACKAGE_PLACES.share}/man/`)
