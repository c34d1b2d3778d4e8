/** Versions of QEMU: as read, compared, and which of them have cpr-reboot. */
import * as v from 'valibot'

/** As the QMP greeting and `query-version` state it. */
export const VersionSchema = v.object({
  qemu: v.object({ major: v.number(), minor: v.number(), micro: v.number() }),
})

/** `major.minor.micro` of QEMU. */
export type QemuVersion = `${number}.${number}.${number}`

/** The first with migration mode cpr-reboot and `file:` migration (`qapi/migration.json`). */
export const OLDEST_USABLE: QemuVersion = '8.2.0'

export function versionOf({ qemu }: v.InferOutput<typeof VersionSchema>): QemuVersion {
  return `${qemu.major}.${qemu.minor}.${qemu.micro}`
}

/** Negative: `left` is older. */
export function compareVersions(left: QemuVersion, right: QemuVersion): number {
  const [a, b] = [left, right].map((version) => version.split('.').map(Number)) as [number[], number[]]
  const at = a.findIndex((number, index) => number !== b[index])
  return at < 0 ? 0 : (a[at] as number) - (b[at] as number)
}
