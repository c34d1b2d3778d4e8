/**
 * Whether a guest's firmware sets up again, when the guest wakes, what its machine then has as at power-on.
 * QEMU resets all devices at a wake-up (qemu_system_wakeup, system/runstate.c). On q35 that takes the base of
 * the ACPI registers (PMBASE) and of PCIe configuration space (PCIEXBAR) away, and SeaBIOS sets these up at
 * power-on alone (`pci_resume`, src/fw/pciinit.c, knows the PIIX4 of machine type `pc`). The guest would have
 * no power button, no PM timer, and could not be suspended a second time: measured with SeaBIOS 1.16.3.
 */
import { argumentsOf, type CommandLine, hasOption, pairsOf, parseCommandLine } from '../command-line.ts'
import { optionValue } from '../option-string.ts'
import type { VmDefinition } from '../vm-definition.ts'

const Q35 = /^(?:pc-)?q35(?:-|$)/
/** As QEMU's own directory and Debian's package name its files. */
const SEABIOS = /(?:^|\/)bios(?:-256k)?\.bin$|seabios/i

/** One line; undefined: it does, as far as the line tells. */
export function wakeProblem({
  argv,
  machineType,
}: Pick<VmDefinition, 'argv' | 'machineType'>): string | undefined {
  if (!Q35.test(machineType) || !hasSeabios(parseCommandLine(argv))) return undefined
  return 'SeaBIOS gives a q35 machine its ACPI registers at power-on alone, and it would wake up without them: start it with machine type pc, or with UEFI firmware'
}

function hasSeabios(line: CommandLine): boolean {
  const machines = argumentsOf(line, 'machine', 'M').map(pairsOf)
  const hasFlash =
    hasOption(line, 'pflash') ||
    argumentsOf(line, 'drive').some((drive) => optionValue(pairsOf(drive), 'if') === 'pflash') ||
    machines.some((pairs) => optionValue(pairs, 'pflash0') !== undefined)
  const firmware = machines.map((pairs) => optionValue(pairs, 'firmware')).at(-1)
  const bios = argumentsOf(line, 'bios').at(-1)?.value ?? firmware
  return !hasFlash && (bios === undefined || SEABIOS.test(bios))
}
