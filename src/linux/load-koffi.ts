/**
 * The loader of koffi's native part. The package's own entry looks for it in many places and wraps it in
 * deprecation notices, which takes ten times as long as loading it; and after a kexec guests wait for every
 * guestmemfs process.
 */
import { createRequire } from 'node:module'
import type koffi from 'koffi'

const load = createRequire(import.meta.url)

/** koffi: its native part where that is found directly, else by the package's entry. */
export function loadKoffi(): typeof koffi {
  const { arch } = process
  try {
    return load(`@koromix/koffi-linux-${arch}/linux_${arch}/koffi.node`)
  } catch {
    // Another C library, or a package manager that keeps packages apart.
    return load('koffi')
  }
}
