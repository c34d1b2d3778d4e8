/** `guestmemfs fsck`: what is wrong with a pool's image. Must not: mount it or change it. */
import type { CommandModule } from '../cli/command.ts'
import { findingOutput } from '../cli/json/finding-output.ts'
import { print, printJson } from '../cli/print.ts'
import { fsckWords } from '../cli/print-findings.ts'
import { checkPoolImage } from '../pool/check-image.ts'
import { hasError } from '../values/finding.ts'

export const command: CommandModule = {
  name: 'fsck',
  group: 'Inspect',
  summary: 'check the image of a pool, mounted or not; changes nothing',
  exitStatus: {
    0: 'no error was found; there may be warnings',
    1: 'an error was found, or the image could not be read',
  },
  changes: false,
  register: (command) =>
    command
      .argument('<pool|file>', 'its name or its mount point, or a file that holds an image')
      .option('--json', 'print JSON')
      .action((named: string, options: { json?: true }) => {
        const findings = checkPoolImage(named)
        if (options.json) printJson<'fsck'>({ named, findings: findings.map(findingOutput) })
        else if (findings.length === 0) print(`${named}: clean`)
        else
          for (const { severity, where, message } of findings.map(fsckWords))
            print(`${named}: ${severity} in ${where}: ${message}`)
        if (hasError(findings)) process.exitCode = 1
      }),
}
