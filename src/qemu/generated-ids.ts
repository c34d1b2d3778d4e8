/**
 * What QEMU would make up anew at each start, and the guest takes for another machine: made up once, when the
 * VM is recorded. MAC addresses that nobody gave are counted by QEMU, the same for the same line.
 */
import { randomUUID } from 'node:crypto'
import { argumentsOf, type CommandLine, jsonOf, pairsOf, replaceValue } from './command-line.ts'
import { optionValue, parseOptionString, printOptionString, withValue } from './option-string.ts'

/**
 * The line with a GUID wherever `vmgenid` has none, or `guid=auto`: a new one tells the guest that it is a
 * copy.
 */
export function fixIdentities(line: CommandLine): CommandLine {
  return argumentsOf(line, 'device').reduce((fixed, argument) => {
    const pairs = pairsOf(argument)
    const driver = pairs.find(({ key }) => key === '' || key === 'driver')?.value
    if (driver !== 'vmgenid' || (optionValue(pairs, 'guid') ?? 'auto') !== 'auto') return fixed
    const value = argument.value as string
    const json = jsonOf(value)
    const guid = randomUUID()
    const text = json
      ? JSON.stringify({ ...json, guid })
      : printOptionString(withValue(parseOptionString(value), 'guid', guid))
    return replaceValue(fixed, argument, text)
  }, line)
}
