/** Tests of what is measured of pools, guests and updates: names, labels and values, read strictly. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fixture, ok, ROOT } from '../fs/testing/fixture.ts'
import { sampleGuest, sampleReport } from '../liveupdate/report/page/testing/sample-updates.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { Errno } from '../values/errno.ts'
import { byteString } from '../values/ids.ts'
import { exposition, type MetricFamily } from './exposition.ts'
import { type MeasuredPool, poolMetrics } from './pool-metrics.ts'
import { type PoolSections, parsePoolSections } from './pool-sections.ts'
import { readExposition } from './testing/read-exposition.ts'
import { updateMetrics } from './update-metrics.ts'
import { type MeasuredVm, vmMetrics } from './vm-metrics.ts'

/** `name{label="value",…}` without the prefix of all, and the value. */
function seriesOf(families: readonly MetricFamily[]): Record<string, number> {
  const series = readExposition(exposition(families)).map(({ name, labels, value }) => {
    assert.match(name, /^guestmemfs_[a-z_]+$/)
    const words = Object.entries(labels).map(([label, text]) => `${label}=${text}`)
    return [`${name.slice('guestmemfs_'.length)} ${words.join(' ')}`.trim(), value] as const
  })
  return Object.fromEntries(series)
}

const SECTIONS: PoolSections = {
  pool: { uuid: 'u-1', store: 'memfd', frozen: true },
  geometry: { blockBytes: 1024, ownedBlocks: 4, cleanBlocks: 3, dirtyBlocks: 2, badBlocks: 1 },
  health: { orphans: 5, orphanBlocks: 6, awaitedFiles: 7, lostFiles: 8, unstoredFiles: 9 },
  server: { startedAt: '2026-01-02T03:04:05.500Z', restarts: 10 },
}
const POOL: MeasuredPool = {
  ...{ pool: 'a', state: 'mounted', mountPoint: '/mnt/"a"', sizeBytes: 10_240 },
  ...{ sections: SECTIONS, waiting: 11 },
}

test('a pool that is served', () => {
  const series = seriesOf(poolMetrics([POOL]))
  assert.deepEqual(series, {
    'pool_info pool=a uuid=u-1 store=memfd mountpoint=/mnt/"a"': 1,
    'pool_state pool=a state=mounted': 1,
    'pool_state pool=a state=parked': 0,
    'pool_state pool=a state=unserved': 0,
    'pool_state pool=a state=held': 0,
    'pool_state pool=a state=lost': 0,
    'pool_state pool=a state=unseen': 0,
    'pool_state pool=a state=unreadable': 0,
    'pool_size_bytes pool=a': 10_240,
    'pool_memory_bytes pool=a state=used': 4096,
    'pool_memory_bytes pool=a state=clean': 3072,
    'pool_memory_bytes pool=a state=dirty': 2048,
    'pool_memory_bytes pool=a state=bad': 1024,
    'pool_frozen pool=a': 1,
    'pool_orphans pool=a': 5,
    'pool_orphan_bytes pool=a': 6144,
    'pool_awaited_files pool=a': 7,
    'pool_lost_files pool=a': 8,
    'pool_unstored_files pool=a': 9,
    'pool_requests_waiting pool=a': 11,
    'pool_server_start_time_seconds pool=a': Date.UTC(2026, 0, 2, 3, 4, 5, 500) / 1000,
    'pool_server_restarts_total pool=a': 10,
  })
})

test('of a pool that no server serves there is its state and its size alone', () => {
  const lost = { ...POOL, state: 'lost', mountPoint: null, sections: undefined, waiting: undefined } as const
  const names = Object.keys(seriesOf(poolMetrics([lost]))).map((series) => series.split(' ')[0])
  assert.deepEqual([...new Set(names)], ['pool_state', 'pool_size_bytes'])
  assert.equal(seriesOf(poolMetrics([lost, { ...POOL, pool: 'b' }]))['pool_state pool=a state=lost'], 1)
  assert.deepEqual(seriesOf(poolMetrics([])), {})
})

test('what a file system says of itself is what metrics are made of', () => {
  const { fs, file, rq } = fixture({ clearing: 'ours', totalBlocks: 16 })
  const ino = file('ram', 3 * BLOCK_BYTES)
  fs.addRootXattr('server', () => JSON.stringify(SECTIONS.server))
  const read = (name: string): unknown => {
    const value = fs.getXattr(ROOT, byteString(`guestmemfs.${name}`))
    return value instanceof Errno
      ? assert.fail(`${name}: ${value}`)
      : JSON.parse(Buffer.from(value).toString())
  }
  const sections = (): PoolSections => {
    const names = Object.keys(SECTIONS)
    const parsed = parsePoolSections(Object.fromEntries(names.map((name) => [name, read(name)])))
    return parsed ?? assert.fail('not read')
  }
  const sizeBytes = 16 * BLOCK_BYTES
  const memory = (): number[] => {
    const series = seriesOf(poolMetrics([{ ...POOL, sizeBytes, sections: sections() }]))
    return ['used', 'clean', 'dirty', 'bad'].map(
      (state) => series[`pool_memory_bytes pool=a state=${state}`] ?? -1,
    )
  }
  const [used = 0, ...others] = memory()
  assert.equal(used + others.reduce((sum, bytes) => sum + bytes, 0), sizeBytes)
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 0 }))
  assert.ok((memory()[0] ?? used) < used)
  assert.equal(parsePoolSections({ ...sections(), health: {} }), undefined)
})

const vm = (name: string, state: MeasuredVm['state'], pool = 'a'): MeasuredVm => ({
  ...{ pool, name, state, ramBytes: 100 },
})

test('guests by state, and each guest in one of them', () => {
  const series = seriesOf(
    vmMetrics([vm('web', 'running'), vm('db', 'stopped'), vm('web', 'saved', 'b')], ['a', 'b', 'c']),
  )
  assert.deepEqual(
    Object.entries(series).filter(([name, value]) => value > 0 && !name.startsWith('vm_ram')),
    [
      ['vms pool=a state=running', 1],
      ['vms pool=a state=stopped', 1],
      ['vms pool=b state=saved', 1],
      ['vm_state pool=a vm=web state=running', 1],
      ['vm_state pool=a vm=db state=stopped', 1],
      ['vm_state pool=b vm=web state=saved', 1],
    ],
  )
  assert.equal(series['vms pool=c state=running'], 0, 'a pool without guests has none, which is known')
  assert.equal(series['vm_state pool=a vm=web state=dead'], 0)
  assert.equal(series['vm_ram_bytes pool=b vm=web'], 100)
})

test('of two files of a pool that are recorded for one name, the one whose guest runs counts', () => {
  for (const order of [
    ['dead', 'running'],
    ['running', 'dead'],
  ] as const) {
    const series = seriesOf(
      vmMetrics(
        order.map((state) => vm('web', state)),
        ['a'],
      ),
    )
    assert.equal(series['vm_state pool=a vm=web state=running'], 1)
    assert.equal(series['vms pool=a state=running'], 1)
    assert.equal(series['vms pool=a state=dead'], 0)
  }
})

test('the last update of each mount, with the times of its guests in seconds', () => {
  const { kernel: _, ...plain } = sampleReport()
  const twice = sampleGuest({
    name: 'db',
    outcome: 'rolled-back',
    phases: [
      { phase: 'save', startUs: 0, durationUs: 250_000 },
      { phase: 'save', startUs: 1, durationUs: 500_000 },
    ],
    blackoutUs: null,
  })
  const series = seriesOf(
    updateMetrics([
      sampleReport(),
      { ...plain, kind: 'vmm-only', mountPoint: '/b', vms: [twice], left: ['x'] },
    ]),
  )
  const expected = {
    'last_update_info mountpoint=/mnt/pool kind=kernel kernel_before=6.12.1 kernel_after=7.3.4 kernel_wanted=7.3.4 via=kexec': 1,
    'last_update_info mountpoint=/b kind=vmm-only': 1,
    'last_update_start_time_seconds mountpoint=/b': Date.UTC(2026, 0, 2, 3, 4, 5) / 1000,
    'last_update_duration_seconds mountpoint=/mnt/pool': 5,
    'last_update_success mountpoint=/mnt/pool': 1,
    'last_update_success mountpoint=/b': 0,
    'last_update_clock_uncertainty_seconds mountpoint=/mnt/pool': 0.0095,
    'last_update_vms mountpoint=/mnt/pool outcome=updated': 2,
    'last_update_vms mountpoint=/b outcome=rolled-back': 1,
    'last_update_vms mountpoint=/b outcome=left': 1,
    'last_update_vms mountpoint=/b outcome=stranded': 0,
    'last_update_vm_outcome mountpoint=/b vm=db outcome=rolled-back': 1,
    'last_update_vm_blackout_seconds mountpoint=/mnt/pool vm=db': 4.1,
    'last_update_vm_phase_seconds mountpoint=/mnt/pool vm=web phase=boot': 2,
    'last_update_vm_phase_seconds mountpoint=/b vm=db phase=save': 0.75,
  }
  for (const [name, value] of Object.entries(expected)) assert.equal(series[name], value, name)
  assert.ok(!('last_update_vm_blackout_seconds mountpoint=/b vm=db' in series))
  assert.ok(!('last_update_clock_uncertainty_seconds mountpoint=/b' in series))
})

test('reports with odd names, times that are none and guests of one name are no text that is refused', () => {
  const odd = sampleGuest({ name: 'a"\\\n{}', blackoutUs: Number.POSITIVE_INFINITY, phases: [] })
  const report = sampleReport({
    mountPoint: '/mnt\n"',
    vms: [odd, odd],
    durationUs: Number.NEGATIVE_INFINITY,
  })
  const series = seriesOf(updateMetrics([report, report]))
  assert.equal(
    series['last_update_vm_blackout_seconds mountpoint=/mnt\n" vm=a"\\\n{}'],
    Number.POSITIVE_INFINITY,
  )
  assert.deepEqual(seriesOf(updateMetrics([])), {})
})
