/**
 * What an administrator must set in libvirt's configuration of its QEMUs, and what is set. Pure. Must not:
 * write it: it is the administrator's, and libvirt reads it when it starts.
 */

/** A mounted pool. `isCarveOut`: its guests' RAM is shown as device nodes. */
export interface PoolForLibvirt {
  readonly mountPoint: string
  readonly isCarveOut: boolean
}

/** A line of `NAME = "TEXT"` that counts; undefined: it is not set. */
export function settingOf(conf: string, name: string): string | undefined {
  const line = new RegExp(`^[ \\t]*${name}[ \\t]*=[ \\t]*"([^"]*)"`, 'gm')
  return [...conf.matchAll(line)].at(-1)?.[1]
}

/** The text between the brackets of `NAME = [ … ]`, also over several lines; undefined: it is not set. */
function listOf(conf: string, name: string): string | undefined {
  const line = new RegExp(`^[ \\t]*${name}[ \\t]*=[ \\t]*\\[([^\\]]*)\\]`, 'gm')
  return [...conf.matchAll(line)].at(-1)?.[1]
}

/**
 * Lines for qemu.conf that are missing. `conf`: its text. A carve-out's RAM is a device: libvirt's own /dev
 * for each QEMU does not have it, and its cgroup would not let QEMU open it.
 */
export function missingSettings(conf: string, pools: readonly PoolForLibvirt[]): string[] {
  const [only] = pools
  const set = settingOf(conf, 'memory_backing_dir')
  const chosen = pools.find(({ mountPoint }) => set === mountPoint || set?.startsWith(`${mountPoint}/`))
  const pool = chosen ?? only
  const missing = chosen === undefined ? [`memory_backing_dir = "${pool?.mountPoint ?? 'DIR'}"`] : []
  if (pool?.isCarveOut !== true) return missing
  if (listOf(conf, 'namespaces')?.trim() !== '') missing.push('namespaces = []')
  if (listOf(conf, 'cgroup_controllers')?.includes('devices') ?? true)
    missing.push('cgroup_controllers = [ "cpu", "memory", "blkio", "cpuset", "cpuacct" ]')
  return missing
}
