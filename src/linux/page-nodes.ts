/**
 * Of which memory nodes the pages are that a process has mapped: /proc/PID/numa_maps. It lists pages that are
 * ordinary memory; those of device-dax and /dev/mem it leaves out. Pure. Source: show_numa_map(),
 * fs/proc/task_mmu.c.
 */

/** Of one memory node. */
export interface NodeBytes {
  readonly node: number
  readonly bytes: number
}

/** What `numa_maps` shows, by the first address of each mapping; nodes ascend. */
export function parseNumaMaps(text: string): Map<number, NodeBytes[]> {
  return new Map(
    text.split('\n').flatMap((line) => {
      const [, start, rest = ''] = /^([0-9a-f]+) (.*)$/.exec(line) ?? []
      if (start === undefined) return []
      // Pages are counted in that size; a large page of shared memory counts as many.
      const pageBytes = Number(/\bkernelpagesize_kB=(\d+)/.exec(rest)?.[1] ?? 4) * 1024
      const nodes = [...rest.matchAll(/(?<= )N(\d+)=(\d+)/g)].map(([, node, pages]) => ({
        node: Number(node),
        bytes: Number(pages) * pageBytes,
      }))
      return [[Number.parseInt(start, 16), nodes.toSorted((a, b) => a.node - b.node)] as const]
    }),
  )
}

/** The sums of several mappings. */
export function addNodeBytes(all: readonly (readonly NodeBytes[])[]): NodeBytes[] {
  const sums = new Map<number, number>()
  for (const { node, bytes } of all.flat()) sums.set(node, (sums.get(node) ?? 0) + bytes)
  return [...sums].map(([node, bytes]) => ({ node, bytes })).toSorted((a, b) => a.node - b.node)
}
