/**
 * What the kernel shows of itself and its memory: meminfo, command line, release, huge pages for shared
 * memory. Must not: decide what is enough or too old.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Errno } from '../values/errno.ts'
import { CorruptBytesError } from '../values/errors.ts'
import { errnoOfNodeError } from './library.ts'

export const SHMEM_ENABLED = '/sys/kernel/mm/transparent_hugepage/shmem_enabled'

export interface MemoryInfo {
  readonly totalBytes: number
  /** The kernel's estimate of what can be used without swapping. */
  readonly availableBytes: number
  readonly swapTotalBytes: number
  /** Pages that the kernel counts as failed since its start. undefined: it has no CONFIG_MEMORY_FAILURE. */
  readonly failedBytes: number | undefined
}

/** The machine's memory by /proc/meminfo. Errors: CorruptBytesError, or Node's error of the read. */
export function memoryInfo(): MemoryInfo {
  const fields = parseMeminfo(readFileSync('/proc/meminfo', 'latin1'))
  const bytes = (name: string): number => {
    const value = fields.get(name)
    if (value === undefined) throw new CorruptBytesError(`/proc/meminfo has no ${name}`)
    return value
  }
  return {
    totalBytes: bytes('MemTotal'),
    availableBytes: bytes('MemAvailable'),
    swapTotalBytes: bytes('SwapTotal'),
    failedBytes: fields.get('HardwareCorrupted'),
  }
}

/** Field name to bytes; fields without a unit (HugePages_*) stay plain counts. */
export function parseMeminfo(text: string): Map<string, number> {
  const fields = text.matchAll(/^([^:\n]+):\s+(\d+)( kB)?$/gm)
  return new Map([...fields].map(([, name, value, unit]) => [name ?? '', Number(value) * (unit ? 1024 : 1)]))
}

/**
 * The command line the kernel was booted with, in its words; quotes keep spaces together as the kernel has
 * it.
 */
export function kernelCommandLine(): string[] {
  return splitCommandLine(kernelCommandLineText())
}

/** The same as it was written. */
export function kernelCommandLineText(): string {
  return readFileSync('/proc/cmdline', 'latin1').trimEnd()
}

/**
 * `next_arg()`, lib/cmdline.c: a quote switches spaces off and on, and is not part of a value it encloses.
 */
export function splitCommandLine(text: string): string[] {
  const words = text.match(/(?:"[^"]*"?|[^\s"])+/g) ?? []
  return words.map((word) => word.replaceAll('"', ''))
}

export interface KernelRelease {
  /** As `uname -r` prints it. */
  readonly text: string
  readonly major: number
  readonly minor: number
}

/** The running kernel's release. Errors (CorruptBytesError): it does not begin with two numbers. */
export function kernelRelease(): KernelRelease {
  const text = readFileSync('/proc/sys/kernel/osrelease', 'latin1').trim()
  const match = /^(\d+)\.(\d+)/.exec(text)
  if (match === null) throw new CorruptBytesError(`kernel release '${text}' does not begin with two numbers`)
  return { text, major: Number(match[1]), minor: Number(match[2]) }
}

/**
 * Huge pages for memfds: `never` (4 KiB pages, without an error), `advise` (where MADV_HUGEPAGE asks),
 * `always` and a few more. ENOENT: no THP in this kernel.
 */
export function shmemHugePages(): string | Errno {
  try {
    return /\[(\w+)\]/.exec(readFileSync(SHMEM_ENABLED, 'latin1'))?.[1] ?? ''
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

/**
 * Changes the whole machine: only with the operator's consent. Errors: EINVAL (no such mode), EACCES, ENOENT.
 */
export function setShmemHugePages(mode: string): Errno | undefined {
  try {
    writeFileSync(SHMEM_ENABLED, mode)
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}
