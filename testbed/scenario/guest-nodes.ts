/**
 * A guest with RAM in two memory nodes of its host, and what the scenarios about nodes expect of it: where
 * its files lie by `list`, by their xattr and by `doctor`.
 */
import { guestCommand } from '../guests/qemu.ts'
import { listPools, onlyVm, printed } from './pool.ts'
import type { Stage } from './scenario.ts'

const MEBIBYTES = 128

/** Each file is bound to the memory node of its place in the list. */
export const guestOnNodes = (name: string, files: readonly string[]): string =>
  guestCommand({
    name,
    mebibytes: MEBIBYTES,
    kernel: 'tiny-guest',
    nodes: files.map((path, node) => `${path},policy=bind,host-nodes=${node}`),
  })

/** File below its mount point, and its memory nodes. */
export async function nodesByList({ host }: Stage): Promise<Record<string, readonly number[] | null>> {
  const pools = await listPools(host)
  return Object.fromEntries(
    pools.flatMap(({ mountPoint, ram }) => ram.map(({ file, nodes }) => [`${mountPoint}/${file}`, nodes])),
  )
}

/** Lines about `what`, a pattern for the subject of each. The exit status tells of other findings as well. */
export async function doctorLines({ host }: Stage, what: RegExp): Promise<string[]> {
  const { findings } = await printed(host, 'doctor', '|| true')
  return findings
    .filter(({ subject }) => what.test(subject))
    .map(({ severity, subject, message }) => `${severity} ${subject}: ${message}`)
}

/** `files`: as of `guestOnNodes`. */
export async function expectOnNodes(stage: Stage, files: readonly string[], when: string): Promise<void> {
  const { expect } = stage
  const wanted = Object.fromEntries(files.map((path, node) => [path, [node]]))
  expect(`memory nodes by list, ${when}`, await nodesByList(stage), wanted)
  expect(
    `memory nodes by doctor, ${when}`,
    await doctorLines(stage, /^VM guest /),
    files.map((_, node) => `ok VM guest ram${node}: in memory node ${node}, as its line asks`),
  )
}

/** What QEMU was started with. */
export async function commandLineOfGuest({ host }: Stage, mountPoint: string): Promise<string> {
  const { pid } = await onlyVm(host, mountPoint)
  return host.run(`tr '\\0' ' ' </proc/${pid}/cmdline`)
}
