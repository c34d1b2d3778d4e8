/**
 * Settings of a QEMU that runs which no command line has, and of which QEMU reports enough to show that one
 * was changed: one line each.
 */
import * as v from 'valibot'
import { type Ask, unlessRefused } from './ask.ts'

const ServersSchema = v.array(
  v.object({
    id: v.string(),
    server: v.array(v.object({ host: v.string(), service: v.string(), auth: v.string() })),
  }),
)
const HistogramSchema = v.object({ boundaries: v.array(v.number()) })
const StatsSchema = v.array(
  v.object({
    device: v.optional(v.string(), ''),
    qdev: v.optional(v.string()),
    stats: v.object({
      rd_latency_histogram: v.optional(HistogramSchema),
      wr_latency_histogram: v.optional(HistogramSchema),
      flush_latency_histogram: v.optional(HistogramSchema),
    }),
  }),
)
const DirtyLimitsSchema = v.array(v.object({ 'cpu-index': v.number(), 'limit-rate': v.number() }))

/** Errors (QemuError): QEMU does not answer. */
export async function readRunTime(ask: Ask): Promise<string[]> {
  const [servers, stats, limits] = await Promise.all([
    // A QEMU without VNC, or without KVM's dirty ring, does not have these commands, or refuses them.
    unlessRefused(ask(ServersSchema, 'query-vnc-servers'), []),
    ask(StatsSchema, 'query-blockstats'),
    unlessRefused(ask(DirtyLimitsSchema, 'query-vcpu-dirty-limit'), []),
  ])
  return [
    ...servers.flatMap(({ id, server }) =>
      server.map(({ host, service, auth }) => `VNC ${id}: ${host}:${service}, authentication ${auth}`),
    ),
    ...stats.flatMap(({ device, qdev = device, stats: reported }) =>
      Object.entries(reported).flatMap(([kind, histogram]) =>
        histogram === undefined ? [] : [`${kind} of ${qdev}: ${histogram.boundaries.join(' ')}`],
      ),
    ),
    ...limits.map((limit) => `dirty limit of vCPU ${limit['cpu-index']}: ${limit['limit-rate']}`),
  ]
}
