/**
 * Tests that the samples in docs/guide are what the program prints of these values, which are made up: a
 * sample shows the form of an output, and no measurement.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { printRehearsal } from '../../src/cli/print-rehearsal.ts'
import { printReport } from '../../src/cli/print-report.ts'
import type { ExpectedBlackout } from '../../src/liveupdate/rehearsal/expected-blackout.ts'
import type { RehearsedGuest } from '../../src/liveupdate/rehearsal/rehearsal.ts'
import type { Phase, VmTimeline } from '../../src/liveupdate/report/timeline.ts'
import type { UpdateReport } from '../../src/liveupdate/report/update-report.ts'
import { warn } from '../../src/values/finding.ts'

const PROJECT = join(import.meta.dirname, '../..')
const GIB = 2 ** 30
const [BEFORE, NEXT] = ['6.12.117+deb13-amd64', '7.3.4+deb13-amd64']

/** The first block of the page's section `heading`, without the command that it begins with. */
function sampleIn(page: string, heading: string): string {
  const text = readFileSync(join(PROJECT, page), 'utf8')
  const [, section = ''] = text.split(new RegExp(`^#+ ${heading}$`, 'm'))
  const [, block = ''] = /^```console\n# .*\n([\s\S]*?)^```$/m.exec(section) ?? []
  return block
}

function printed(t: TestContext, print: () => unknown): string {
  const lines: string[] = []
  const { mock } = t.mock.method(process.stdout, 'write', (text: string) => lines.push(text) > 0)
  print()
  mock.restore()
  return lines.join('')
}

test('the sample of a rehearsal', (t) => {
  const guest = (name: string, ram: number, changes: Partial<RehearsedGuest>): RehearsedGuest => ({
    ...{ name, mountPoint: '/mnt/guestmemfs', ramBytes: ram * GIB, fate: 'carried', state: 'running' },
    ...{ why: null, expected: null, ...changes },
  })
  const expected = (medianMs: number, longestMs: number, count: number, of: ExpectedBlackout['of']) => ({
    expected: { medianUs: medianMs * 1000, longestUs: longestMs * 1000, count, of },
  })
  const ends = 'it ends with this kernel, and nothing of it is saved'
  const rehearsal = {
    kind: 'kernel',
    isReady: true,
    plan: {
      via: 'kexec',
      kernel: `/boot/vmlinuz-${NEXT}`,
      initrd: `/boot/initrd.img-${NEXT}`,
      before: BEFORE,
      next: NEXT,
      commandLine: 'root=/dev/vda1 ro memmap=10G%10G-1+0xefffffff modprobe.blacklist=kmem',
      pools: [{ pool: 'guestmemfs', mountPoint: '/mnt/guestmemfs', store: 'dax', by: 'carve-out' }],
      vms: [],
      left: ['batch'],
    },
    load: { outcome: 'unloaded', why: null },
    guests: [
      guest('web', 4, expected(9140, 11_020, 5, 'guest')),
      guest('cache', 2, expected(7480, 11_020, 12, 'host')),
      guest('idle', 1, { state: 'paused' }),
      guest('batch', 2, { fate: 'left', why: ends }),
    ],
    findings: [warn('VM batch', `VM batch is left: ${ends}`)],
  } as const
  const text = printed(t, () => assert.equal(printRehearsal(rehearsal, false), 0))
  assert.equal(sampleIn('docs/guide/live-update.md', 'A rehearsal'), text)
})

test('the sample of a report with guests of libvirt and others', (t) => {
  const guest = (name: string, ram: number, ms: Partial<Record<Phase, number>>): VmTimeline => {
    const phases = Object.entries(ms).map(([phase, each]) => ({
      ...{ phase: phase as Phase, startUs: 0, durationUs: each * 1000 },
    }))
    return {
      ...{ name, ramBytes: ram * GIB, outcome: 'updated', problem: null },
      ...{ qemuBefore: '10.0.13', qemuAfter: '10.0.13', stateBytes: 300_000, phases },
      blackoutUs: phases.reduce((sum, { durationUs }) => sum + durationUs, 0),
    }
  }
  const both = { jump: 1100, boot: 4200 }
  const late = { mount: 640, wait: 1900 }
  const report: UpdateReport = {
    format: 1,
    kind: 'kernel',
    mountPoint: '/mnt/guestmemfs',
    startedAtMs: 0,
    durationUs: 12_000_000,
    vms: [
      guest('cache', 2, {
        ...{ save: 120, freeze: 252, ...both, mount: 110, wait: 0 },
        ...{ launch: 40, start: 250, load: 60, continue: 5 },
      }),
      guest('web', 4, { save: 310, freeze: 62, ...both, ...late, start: 820, load: 140, continue: 9 }),
      guest('db', 8, { save: 350, freeze: 22, ...both, ...late, start: 900, load: 150, continue: 10 }),
    ],
    kernel: { before: BEFORE, after: NEXT, wanted: NEXT, via: 'kexec', clockUncertaintyUs: 2000 },
    left: ['batch'],
  }
  const text = printed(t, () => printReport(report))
  assert.equal(sampleIn('docs/guide/libvirt.md', 'What the report has'), text)
})
