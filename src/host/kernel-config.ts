/** The configuration of the running kernel, read from the kernel itself or its distribution. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

/** The text of a `.config`, or `undefined` when neither the kernel nor the distribution has it. */
export function kernelConfig(release: string): string | undefined {
  const places: [string, (bytes: Buffer) => Buffer][] = [
    ['/proc/config.gz', (bytes) => gunzipSync(bytes)],
    [`/boot/config-${release}`, (bytes) => bytes],
    [`/usr/lib/modules/${release}/config`, (bytes) => bytes],
  ]
  for (const [path, unpack] of places) {
    try {
      return unpack(readFileSync(path)).toString('latin1')
    } catch {
      // Not kept there: the next place may have it.
    }
  }
  return undefined
}

/** True when `option` (with its `CONFIG_`) is built in or a module. */
export const isConfigured = (config: string, option: string): boolean =>
  new RegExp(`^${option}=[ym]$`, 'm').test(config)
