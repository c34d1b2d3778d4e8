/** The numbers of the kernel's character devices: it assigns majors anew at each boot. */
import { readFileSync } from 'node:fs'

/** Of a device number as `new_encode_dev` (include/linux/kdev_t.h) packs it. */
export const majorOf = (rdev: number): number => (rdev >>> 8) & 0xfff

/**
 * The major that `name` has in /proc/devices, whose text `devices` is; undefined: no such driver is there.
 */
export function characterMajor(
  name: string,
  devices = readFileSync('/proc/devices', 'latin1'),
): number | undefined {
  const [characters = ''] = devices.split('\nBlock devices:')
  const line = characters.split('\n').find((each) => each.trim().split(/\s+/)[1] === name)
  return line === undefined ? undefined : Number.parseInt(line, 10)
}
