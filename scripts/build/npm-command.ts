/**
 * The command of the published npm package: npm installs it for any Node, and only warns (`engines`). Must
 * not: have syntax in it that an old Node does not read. Pure.
 */

/** Beside the bundles. */
export const NPM_COMMAND = 'guestmemfs.js'

/** `oldest`: the first major version of Node that runs the program. */
export const npmCommandText = (oldest: number): string => `#!/usr/bin/env node
// An older Node does not read the files of the program: it gets one line in place of a syntax error.
if (parseInt(process.versions.node, 10) < ${oldest}) {
  process.stderr.write('guestmemfs: this is Node ' + process.versions.node + ', and it needs ${oldest} or newer: npm install -g with that one, or the Debian package, which brings its own\\n')
  process.exit(1)
} else import('./cli.js')
`
