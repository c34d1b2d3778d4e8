/** Owns `guestmemfs fsck` and `guestmemfs dump`: what an image holds, read without mounting it and without changing it. */
import type { Command } from 'commander'
import { print, printJson } from '../cli/print.ts'
import { fsckWords } from '../cli/print-findings.ts'
import { dumpImage } from '../fs/image/dump.ts'
import { checkPoolImage } from '../pool/check-image.ts'
import { readPoolImage } from '../pool/pool-image.ts'
import { hasError } from '../values/finding.ts'

export const registerFsck = (program: Command): void => {
  program
    .command('fsck')
    .description('check the image of a pool, mounted or not; changes nothing')
    .argument('<pool|mountpoint|file>')
    .option('--json', 'print JSON')
    .action((named: string, options: { json?: true }) => {
      const findings = checkPoolImage(named)
      if (options.json) printJson({ named, findings: findings.map(fsckWords) })
      else if (findings.length === 0) print(`${named}: clean`)
      else
        for (const { severity, where, message } of findings.map(fsckWords))
          print(`${named}: ${severity} in ${where}: ${message}`)
      if (hasError(findings)) process.exitCode = 1
    })
  program
    .command('dump')
    .description("print a pool's image as JSON: header, state, and the records of its log")
    .argument('<pool|mountpoint|file>')
    .action((named: string) => printJson(dumpImage(readPoolImage(named).area)))
}
