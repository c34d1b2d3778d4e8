/**
 * The program in the package: which files of it dpkg unpacks, and the script that starts it there. It is a
 * program as `guestmemfs install` copies it: bundles, the npm packages that they load, and Node.
 *
 * Node is always brought. Debian 13 has Node 20 and the program needs 24; and a Node that another package's
 * upgrade replaces would be another program under a keeper that runs for months.
 */
import type { ProgramFile } from '../../src/host/versions/program-files.ts'
import { NODE_PATH } from '../../src/host/versions/program-files.ts'

/** In the program's folder; only the package's scripts call it. */
export const PROGRAM_LAUNCHER = 'guestmemfs'

export const launcherText = `#!/bin/sh
# For the scripts of the package alone. What pools run is copied from here, as dpkg replaces these files.
here=\${0%/*}
exec "$here/${NODE_PATH}" "$here/dist/cli.js" "$@"
`

/** What a program loads: no types, sources, documents or tools; licenses are in the copyright file. */
const LOADED = /\.(?:[cm]?js|json|node)$/
/** Programs of koffi's own build, and its library for another C library than Debian's. */
const NOT_LOADED =
  /^node_modules\/(?:koffi\/(?:vendor\/|cnoke\.cjs|.*\/trampolines\.cjs)|@koromix\/.*\/musl_)/

/** Of all that `guestmemfs install` would copy, what the package has. */
export const payloadOf = (files: readonly ProgramFile[]): ProgramFile[] =>
  files.filter(({ path }) => path === NODE_PATH || (LOADED.test(path) && !NOT_LOADED.test(path)))

/** `text` without a first line that names an interpreter, which no package that this one needs has. */
export const withoutInterpreter = (text: string): string => text.replace(/^#!.*\n/, '')

/** Npm packages among the files, by name. */
export const packageNames = (files: readonly ProgramFile[]): string[] => [
  ...new Set(files.flatMap(({ path }) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [])),
]
