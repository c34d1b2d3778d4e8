/**
 * Values that QEMU would generate anew at each start, by which the guest would see another machine: `run`
 * generates them once, when it records the VM. MAC addresses that the line leaves out need none: QEMU numbers
 * them, and gives the same ones for the same line.
 */
import { randomUUID } from 'node:crypto'
import { argumentsOf, type CommandLine, pairsOf, setKeys } from './command-line.ts'
import { impliedValue, optionValue } from './option-string.ts'

/**
 * The line with a GUID wherever `vmgenid` has none, or `guid=auto`: a new one tells the guest that it is a
 * copy.
 */
export function fixIdentities(line: CommandLine): CommandLine {
  return argumentsOf(line, 'device').reduce((fixed, argument) => {
    const pairs = pairsOf(argument)
    const isVmgenid = impliedValue(pairs, 'driver') === 'vmgenid'
    if (!isVmgenid || (optionValue(pairs, 'guid') ?? 'auto') !== 'auto') return fixed
    return setKeys(fixed, argument, [['guid', randomUUID()]])
  }, line)
}
