/** Tests of the kernel's and the service manager's part of a blackout, from their log and their times. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseKernelLine } from '../../linux/kernel-log.ts'
import { type BootFacts, kernelParts, longestParts } from './kernel-parts.ts'
import { parseUnits, waitsOf } from './unit-times.ts'

/** As `systemctl show` prints them, each with another property between. */
const UNITS = `Id=guestmemfs@pool.service
ActiveEnterTimestampMonotonic=9500000
InactiveExitTimestampMonotonic=9000000
After=basic.target dev-vdb.device never.service system.slice mnt.mount

Id=mnt.mount
ActiveEnterTimestampMonotonic=8900000
InactiveExitTimestampMonotonic=8800000
After=dev-vdb.device

Id=dev-vdb.device
ActiveEnterTimestampMonotonic=8700000
InactiveExitTimestampMonotonic=8700000
After=

Id=basic.target
ActiveEnterTimestampMonotonic=5000000
InactiveExitTimestampMonotonic=5000000
After=systemd-journald.service

Id=never.service
ActiveEnterTimestampMonotonic=0
InactiveExitTimestampMonotonic=0
After=

Id=late.service
ActiveEnterTimestampMonotonic=9900000
InactiveExitTimestampMonotonic=9800000
After=guestmemfs@pool.service
`
const manager = { userspaceUs: 4_000_000, units: parseUnits(UNITS) }

test('a unit waited for what was up last of all that it is ordered after, and so on backwards', () => {
  assert.deepEqual(waitsOf('guestmemfs@pool.service', manager), [
    { unit: 'dev-vdb.device', startUs: 4_000_000, durationUs: 4_700_000 },
    { unit: 'mnt.mount', startUs: 8_700_000, durationUs: 200_000 },
  ])
  assert.deepEqual(waitsOf('no.service', manager), [])
})

test('units that are ordered after each other in a circle end', () => {
  const units = parseUnits(
    'Id=a\nActiveEnterTimestampMonotonic=5\nInactiveExitTimestampMonotonic=5\nAfter=b\n\nId=b\nActiveEnterTimestampMonotonic=5\nInactiveExitTimestampMonotonic=5\nAfter=a c\n',
  )
  assert.deepEqual(waitsOf('a', { userspaceUs: 1, units }), [{ unit: 'b', startUs: 1, durationUs: 4 }])
})

const line = (record: string) => parseKernelLine(record) ?? assert.fail(record)
const LOG = [
  line('6,301,1208177,-;Freeing initrd memory: 61980K'),
  line('6,307,2153153,-,caller=T1;Run /init as init process\n SUBSYSTEM=none'),
]
const FACTS: BootFacts = {
  jumpUs: 1_500_000,
  mountStartUs: 10_000_000,
  log: LOG,
  commandLine: ['console=ttyS0', 'root=/dev/vda'],
  manager,
  unit: 'guestmemfs@pool.service',
}

test('the parts follow each other from the jump to the mount, without a gap', () => {
  const parts = kernelParts(FACTS)
  assert.deepEqual(
    parts.map(({ part, durationUs }) => [part, durationUs]),
    [
      ['jump', 1_500_000],
      ['kernel to init', 2_153_153],
      ['initrd', 4_000_000 - 2_153_153],
      ['dev-vdb.device', 4_700_000],
      ['mnt.mount', 200_000],
      ['units to mount', 1_100_000],
    ],
  )
  const us = parts.reduce((sum, { durationUs }) => sum + durationUs, 0)
  assert.equal(us, FACTS.jumpUs + FACTS.mountStartUs)
  assert.match(parts[1]?.advice ?? '', /serial console; a smaller initramfs than one of 60\.5M/)
})

test('the three longest are printed, longest first', () => {
  const longest = longestParts(kernelParts(FACTS)).map(({ part }) => part)
  assert.deepEqual(longest, ['dev-vdb.device', 'kernel to init', 'initrd'])
})

test('without systemd, and without an initramfs, there are fewer parts', () => {
  const log = [line('6,307,2153153,-;Run /sbin/init as init process')]
  const names = (facts: Partial<BootFacts>) => kernelParts({ ...FACTS, ...facts }).map(({ part }) => part)
  assert.deepEqual(names({ log, manager: undefined }), ['jump', 'kernel to init', '/sbin/init to mount'])
  assert.deepEqual(names({ log, unit: undefined }), ['jump', 'kernel to init', 'units to mount'])
})

test('what comes right before the mount has an advice for each way in which a host mounts', () => {
  const log = [line('6,307,2153153,-;Run /sbin/init as init process')]
  const last = (facts: Partial<BootFacts>) => kernelParts({ ...FACTS, log, ...facts }).at(-1)?.advice
  assert.match(last({ manager: undefined }) ?? '', /where init runs 'guestmemfs mount' before/)
  assert.match(
    last({ unit: undefined }) ?? '',
    /what mounts the pool is ordered before.*'guestmemfs install'/,
  )
  assert.match(last({}) ?? '', /fewer units that start at the same time.*systemd-analyze plot/)
})

test('a log that has lost its beginning has no parts', () => {
  assert.deepEqual(kernelParts({ ...FACTS, log: LOG.slice(0, 1) }), [])
  assert.equal(parseKernelLine('no record'), undefined)
})

test('a console that is quiet, or no serial one, needs no advice', () => {
  const advice = (...commandLine: string[]) =>
    kernelParts({ ...FACTS, log: LOG.slice(1), commandLine })[1]?.advice
  assert.equal(advice('console=ttyS0', 'quiet'), null)
  assert.equal(advice('console=ttyS0', 'loglevel=3'), null)
  assert.equal(advice('console=tty0'), null)
  assert.match(advice('console=ttyS0', 'loglevel=7') ?? '', /quiet/)
})
