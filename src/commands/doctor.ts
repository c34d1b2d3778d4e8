/** `guestmemfs doctor`: print what this host has and lacks; `--fix` repairs what the operator agrees to. */
import type { CommandModule } from '../cli/command.ts'
import { findingOutput } from '../cli/json/finding-output.ts'
import { print, printJson } from '../cli/print.ts'
import { doctorWords } from '../cli/print-findings.ts'
import { checkBlackout } from '../host/check-blackout.ts'
import { examine } from '../host/checks.ts'
import { askConsent } from '../host/consent.ts'
import type { FixableFinding } from '../host/fix.ts'
import { checkRamNodes } from '../liveupdate/check-ram-nodes.ts'
import { checkStored } from '../pool/check-stored.ts'
import { checkBadMemory } from '../pool/pool-bad-memory.ts'

interface DoctorOptions {
  readonly json?: boolean
  readonly fix?: boolean
  readonly blackout?: boolean
  readonly yes?: boolean
}

function printFinding(finding: FixableFinding): void {
  const { name, state, detail, advice } = doctorWords(finding)
  print(`${state.padEnd(8)} ${name.padEnd(26)} ${detail}`)
  if (advice !== undefined) print(`${' '.repeat(36)}→ ${advice}`)
}

/** Applies each fix that the operator agrees to; returns whether there was one. */
async function applyFixes(findings: readonly FixableFinding[], yes: boolean): Promise<boolean> {
  let applied = false
  for (const { fix } of findings) {
    if (!fix || !(await askConsent(fix.question, { yes }))) continue
    await fix.apply((line) => print(`         ${line}`))
    applied = true
  }
  return applied
}

async function doctor({ json, fix, yes, blackout }: DoctorOptions): Promise<void> {
  const look = (): FixableFinding[] => [
    ...examine(),
    ...checkStored(),
    ...checkRamNodes(),
    ...checkBadMemory(),
    ...(blackout ? checkBlackout() : []),
  ]
  let findings = look()
  if (fix && (await applyFixes(findings, yes === true))) findings = look()
  const missing = findings.filter(({ severity }) => severity === 'error').length
  if (json) {
    printJson<'doctor'>({ ready: missing === 0, findings: findings.map(findingOutput) })
  } else {
    for (const finding of findings) printFinding(finding)
    print(
      missing === 0
        ? 'guestmemfs works on this host.'
        : `${missing} missing: guestmemfs does not work on this host yet.`,
    )
  }
  process.exitCode = missing === 0 ? 0 : 1
}

export const command: CommandModule = {
  name: 'doctor',
  group: 'Setup',
  summary: 'check this host; --fix repairs what it can',
  description: `
    Prints one line for each thing that guestmemfs needs of this host or can make use of: the kernel,
    FUSE, memory, QEMU, tools, memory set aside at boot, guests' RAM on memory nodes. State ok; warn: it
    works without, or not as well; missing: it does not work. A line with an arrow says what to do. --fix
    does what can be done here: on a terminal it asks before each change, elsewhere the command itself is
    the consent.`,
  exitStatus: {
    0: 'nothing is missing',
    1: 'something is missing: guestmemfs does not work on this host yet',
  },
  examples: [
    { about: 'look, and change nothing', typed: 'guestmemfs doctor' },
    { about: 'before an update of the kernel', typed: 'guestmemfs doctor --blackout' },
  ],
  seeAlso: ['guestmemfs-reserve(8)', 'guestmemfs-install(8)'],
  changes: ({ fix }) => fix === true,
  register: (command) =>
    command
      .option('--json', 'print JSON')
      .option('--fix', 'do what can be done here; on a terminal it asks before each change')
      .option('--blackout', 'also list what would make an update of the kernel longer than it must be')
      .option('-y, --yes', 'do not ask')
      .action(doctor),
}
