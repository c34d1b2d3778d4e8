/**
 * The host's memory nodes (NUMA), as words of its QEMU: each has an equal part of memory and processors. The
 * firmware then has an SRAT.
 */
import { parseSize } from '../../src/values/size.ts'
import { MIB } from '../../src/values/units.ts'

/** `memory`: as for `-m`, a multiple of `nodes` MiB. One node: no words, and no SRAT. */
export function memoryNodeWords(memory: string, cpus: number, nodes: number): string[] {
  if (nodes === 1) return []
  const [mebibytes, cpusEach] = [parseSize(memory, 'memory') / MIB / nodes, Math.ceil(cpus / nodes)]
  return Array.from({ length: nodes }, (_, node) => {
    const first = node * cpusEach
    const last = Math.min(first + cpusEach, cpus) - 1
    const processors = first > last ? '' : `,cpus=${first}${last > first ? `-${last}` : ''}`
    return [
      ...['-object', `memory-backend-ram,id=node${node},size=${mebibytes}M`],
      ...['-numa', `node,nodeid=${node},memdev=node${node}${processors}`],
    ]
  }).flat()
}
