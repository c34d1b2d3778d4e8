/** Tests of which failures are the emulator's, and which only look like them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostEvidence, QemuStart, StoppedGuest } from '../machine/evidence.ts'
import { emulatorFault, type GuestEvidence, type RunEvidence } from './verdict.ts'

const KVM_MODULES = ['kvm_amd 229376 1 - Live 0xffffffffc0c00000', 'kvm 1449984 1 - Live 0xffffffffc0a00000']
const host = (more: Partial<HostEvidence> = {}): HostEvidence => ({
  crash: undefined,
  stop: undefined,
  isBooting: false,
  kvmModules: KVM_MODULES,
  qemuStarts: [start('guest', 0)],
  stoppedGuests: [],
  ...more,
})
/** `pid`: that of no other start of the test. */
const start = (log: string, atMs: number, hasOwnRam = true, boot = 'boot'): QemuStart => ({
  key: `${boot} ${atMs} ${log}`,
  pid: 100 + atMs,
  atMs,
  logs: log === '' ? [] : [log],
  hasOwnRam,
  isIncoming: false,
})
/** One tick each 100 ms, from 1000 ms on. */
const guest = (...numbers: number[]): GuestEvidence => ({
  name: 'guest',
  ticks: numbers.map((number, index) => ({ number, bad: 0, atMs: 1000 + 100 * index })),
})
const run = (more: Partial<RunEvidence>): RunEvidence => ({
  failure: 'guest guest: tick 1 where tick 4 was due',
  kind: 'machine',
  accelerator: 'tcg',
  host: host(),
  guests: [guest(1, 2, 3)],
  ...more,
})
const RESET = [guest(1, 2, 3, 1, 2)]
test('a guest that starts again in the one QEMU that it ever had was reset', () => {
  assert.match(emulatorFault(run({ guests: RESET })) ?? '', /guest guest was reset after tick 3/)
})

test('a guest whose memory was changed is a failure, whatever else went wrong', () => {
  const bad = { name: 'guest', ticks: [1, 2].map((number) => ({ number, bad: number - 1, atMs: number })) }
  assert.equal(emulatorFault(run({ guests: [bad] })), undefined)
  assert.equal(emulatorFault(run({ guests: [...RESET, { ...bad, name: 'other' }] })), undefined)
  assert.equal(emulatorFault(run({ guests: [bad], host: host({ crash: OOPS }) })), undefined)
})

test('a guest that any command started again is a failure', () => {
  for (const second of [start('guest', 1250), start('', 1250)]) {
    const host2 = host({ qemuStarts: [start('guest', 0), second] })
    assert.equal(emulatorFault(run({ guests: RESET, host: host2 })), undefined)
    assert.equal(emulatorFault(run({ guests: RESET, host: { ...host2, crash: OOPS } })), undefined)
  }
  // Another guest's QEMU does not count.
  const other = host({ qemuStarts: [start('guest', 0), start('other', 1250)] })
  assert.notEqual(emulatorFault(run({ guests: RESET, host: other })), undefined)
})

test('a guest that had been restored, or that lost its place, is a failure', () => {
  const restored = host({ qemuStarts: [start('guest', 0), start('guest', 1050)] })
  assert.equal(emulatorFault(run({ guests: RESET, host: restored })), undefined)
  assert.equal(emulatorFault(run({ guests: [guest(1, 2, 5)] })), undefined)
  assert.equal(emulatorFault(run({ guests: [guest(1, 2, 2)] })), undefined)
  assert.equal(emulatorFault(run({ guests: [guest(3, 4)] })), undefined)
  assert.equal(emulatorFault(run({ guests: RESET, host: host({ qemuStarts: [] }) })), undefined)
})

test('a guest in a pool that starts again is a failure: a page of its code that was lost looks the same', () => {
  const pool = host({ qemuStarts: [start('guest', 0, false)] })
  assert.equal(emulatorFault(run({ guests: RESET, host: pool })), undefined)
})

test('a reset excuses what it broke, and nothing else', () => {
  const failure = 'at-boot did not print /BLACKOUT/ (waited 180 s)'
  assert.equal(emulatorFault(run({ guests: RESET, failure })), undefined)
  const other = 'guest other: tick 1 where tick 4 was due'
  assert.equal(emulatorFault(run({ guests: RESET, failure: other })), undefined)
})

test('where the host runs on KVM there is no emulator', () => {
  assert.equal(emulatorFault(run({ guests: RESET, accelerator: 'kvm' })), undefined)
  assert.equal(
    emulatorFault(run({ failure: GONE, host: host({ crash: OOPS }), accelerator: 'kvm' })),
    undefined,
  )
})

test('of two guests the one that we started again decides', () => {
  const both = host({ qemuStarts: [start('guest', 0), start('other', 0), start('other', 1150)] })
  const guests = [...RESET, { ...guest(1, 2, 3, 1), name: 'other' }]
  assert.equal(emulatorFault(run({ guests, host: both })), undefined)
})

const OOPS = `Oops: int3: 0000 [#1] SMP NOPTI
CPU: 1 UID: 0 PID: 312 Comm: CPU 0/KVM Not tainted 7.3.4 #1
RIP: 0010:vcpu_enter_guest+0x3d1/0x1d80 [kvm]
Code: 02 48 8b 75 08 0f 84 6c 0a 00 00 0f <1f> 44 00 00 0f 1f 44 00 00
Call Trace:
 kvm_arch_vcpu_ioctl_run+0x9c/0x5d0 [kvm]
 kvm_vcpu_ioctl+0x21a/0x960 [kvm]
Kernel panic - not syncing: Fatal exception`
const GONE = 'the host failed: Oops: int3: 0000 [#1] SMP NOPTI'

test('an int3 that was executed after it had been taken away is the emulator, in a kernel that runs', () => {
  assert.match(emulatorFault(run({ failure: GONE, host: host({ crash: OOPS }) })) ?? '', /vcpu_enter_guest/)
  assert.equal(emulatorFault(run({ failure: GONE, host: host({ crash: OOPS, isBooting: true }) })), undefined)
  for (const ours of [
    'fuse_dev_do_write',
    '__fuse_simple_request',
    'dev_dax_huge_fault',
    'kernel_kexec',
    'machine_kexec',
    '__do_sys_kexec_file_load',
    '__x64_sys_memfd_create',
    'read_mem',
    'luo_session_finish',
  ]) {
    const crash = OOPS.replace('kvm_vcpu_ioctl+', `${ours}+`)
    assert.equal(emulatorFault(run({ failure: GONE, host: host({ crash }) })), undefined, ours)
  }
})

test('an int3 that is in memory, as padding between functions is, was executed by code that jumped there', () => {
  const crash = OOPS.replace('0f <1f>', 'cc <cc>')
  assert.equal(emulatorFault(run({ failure: GONE, host: host({ crash }) })), undefined)
  const blind = OOPS.replace(/^Code.*\n/m, '')
  assert.equal(emulatorFault(run({ failure: GONE, host: host({ crash: blind }) })), undefined)
})

test('every other oops and panic is a failure', () => {
  for (const crash of [
    'Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)',
    'BUG: unable to handle page fault for address: ffff888100400000',
    OOPS.replace('int3: 0000', 'general protection fault, probably for non-canonical address 0x1: 0000'),
  ])
    assert.equal(emulatorFault(run({ failure: crash, host: host({ crash }) })), undefined, crash)
})

const IN_KVM = 'ffffffffc0a12345'
/** The second processor's RIP; the first one is halted, unless `first` is its RIP. */
const stop = (reason: string, rip: string, first = '') => ({
  reason,
  qemuLog: 'CPU Reset (CPU 0)\nTriple fault\n',
  registers: `CPU#0\nRIP=${first || 'ffffffff81000000'} RFL=00000002 II=0 A20=1 SMM=0 HLT=${first ? 0 : 1}\nCPU#1\nRIP=${rip} RFL=00000002 II=0 A20=1 SMM=0 HLT=0`,
  stacks: '',
})

test('a triple fault is the emulator in the code of KVM alone, and not on the way into a kernel', () => {
  const reset = stop('guest-reset', 'ffffffffc0a12345')
  assert.match(emulatorFault(run({ host: host({ stop: reset }) })) ?? '', /0xffffffffc0a12345/)
  for (const other of [
    host({ stop: reset, isBooting: true }),
    host({ stop: stop('guest-reset', 'ffffffff81234567') }),
    host({ stop: stop('guest-reset', IN_KVM, 'ffffffff81234567') }),
    host({ stop: stop('guest-reset', 'ffffffff81234567', IN_KVM) }),
    host({ stop: stop('guest-shutdown', 'ffffffffc0a12345') }),
    host({ stop: { ...reset, qemuLog: 'CPU Reset (CPU 0)\n' } }),
    host({ stop: reset, kvmModules: [] }),
    host({ stop: reset, kvmModules: ['kvm 1449984 1 kvm_amd, Live 0x0000000000000000'] }),
  ])
    assert.equal(emulatorFault(run({ host: other })), undefined)
})

/** As of a host that was reset in `live-update`, before a guest was paused. */
const BETWEEN = `CPU#0
RIP=ffffffffa3f0a533 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0
GS =0010 0000000000000000 ffffffff 00c09300 DPL=0 DS   [-WA]
LDT=0000 0000000000000000 0000ffff 00008200 DPL=0 LDT
TR =0000 0000000000000000 0000ffff 00008b00 DPL=0 TSS64-busy
GDT=     fffffe4e62f8d000 0000007f
IDT=     fffffe0000000000 00000fff

CPU#1
RIP=0000000001a28ff7 RFL=00000206 [-----P-] CPL=3 II=0 A20=1 SMM=0 HLT=0
GS =0000 0000000000000000 00000000 00000000
TR =0040 fffffe112879d000 00000067 00008900 DPL=0 TSS64-avl
IDT=     fffffe0000000000 00000fff
`

test('a triple fault between a guest and its host is the emulator, whatever the other processor does', () => {
  const reset = { ...stop('guest-reset', IN_KVM), registers: BETWEEN }
  assert.match(emulatorFault(run({ host: host({ stop: reset }) })) ?? '', /after a guest's exit/)
  const withRegisters = (before: string | RegExp, after: string) =>
    host({ stop: { ...reset, registers: BETWEEN.replace(before, after) } })
  for (const other of [
    host({ stop: reset, isBooting: true }),
    host({ stop: { ...reset, qemuLog: 'CPU Reset (CPU 0)\n' } }),
    host({ stop: reset, crash: 'Oops: general protection fault' }),
    withRegisters('CPL=0', 'CPL=3'),
    withRegisters('TR =0000 0000000000000000', 'TR =0040 fffffe112879d000'),
    withRegisters('GS =0010 0000000000000000', 'GS =0010 ff11000120000000'),
    // A kernel on its way into the next one, or from it, has another IDT or none.
    withRegisters(/IDT= +fffffe0000000000 00000fff/, 'IDT=     0000000000000000 00000000'),
    withRegisters(/IDT= +fffffe0000000000 00000fff/, 'IDT=     ffffffff83c00000 00000fff'),
  ])
    assert.equal(emulatorFault(run({ host: other })), undefined)
})

/** As of a host that panicked in `live-update`, before a guest was paused. */
const SPOILT = `[   34.604593] Kernel panic - not syncing: corrupted stack end detected inside scheduler
[   34.609775] CPU: 0 UID: 0 PID: 248 Comm: qemu-system-x86 Not tainted 6.12.117+deb13-cloud-amd64 #1
[   34.618970]  ? vcpu_put+0x22/0x50 [kvm]
[   34.619766]  schedule+0x27/0xc0
[   34.619929]  syscall_exit_to_user_mode+0x107/0x1b0`
const CR2 = (first: string, second: string) =>
  `\nCPU#0\nCR0=80050033 CR2=${first} CR3=0000000142422000\n\nCPU#1\nCR0=80050033 CR2=${second} CR3=0000000140dca000\n`
const IST1 = '0000000000000024'

test('a stack that a double fault without a TSS has run down is the emulator, in a thread that runs a guest', () => {
  const spoilt = (crash: string, registers: string, more: Partial<HostEvidence> = {}) =>
    emulatorFault(
      run({
        failure: 'the host failed: Kernel panic',
        host: host({ crash, stop: { ...stop('guest-reset', IN_KVM), registers }, ...more }),
      }),
    )
  const other = '00007f217c042000'
  assert.match(spoilt(SPOILT, CR2(IST1, other)) ?? '', /lost the end of its stack/)
  for (const crash of [
    SPOILT.replace('corrupted stack end detected inside scheduler', 'sysrq triggered crash'),
    SPOILT.replace('qemu-system-x86', 'guestmemfs'),
    SPOILT.replace(' [kvm]', ''),
    `${SPOILT}\n[   34.7]  fuse_dev_do_read+0x22/0x50 [fuse]`,
  ])
    assert.equal(spoilt(crash, CR2(IST1, other)), undefined, crash)
  // Memory that something else has written over: the processor took no double fault, or another one did.
  assert.equal(spoilt(SPOILT, CR2(other, IST1)), undefined)
  assert.equal(spoilt(SPOILT, CR2(other, other)), undefined)
  assert.equal(spoilt(SPOILT, ''), undefined)
  assert.equal(spoilt(SPOILT, CR2(IST1, other), { isBooting: true }), undefined)
  assert.equal(spoilt(SPOILT, CR2(IST1, other), { stop: undefined }), undefined)
})

const stopped = (pid: number, more: Partial<StoppedGuest> = {}): StoppedGuest => ({
  pid,
  state: 'internal-error',
  hasItsCode: true,
  isInFirmware: false,
  ...more,
})
/** A guest of a pool, restored after the second boot, which stopped after two more ticks. */
const WILD = host({
  qemuStarts: [start('guest', 0, false, 'first'), start('guest', 1150, false, 'second')],
  stoppedGuests: [stopped(1250)],
})
const IN_FIRMWARE = { stoppedGuests: [stopped(1250, { hasItsCode: false, isInFirmware: true })] }
const SILENT = 'guest did not print /tick/; its last words: tick 4 (waited 180 s)'
const ASKED = 'failed inside (1): VM status: paused (internal-error)'

test('a guest that left its code, all of which is in its RAM, is the emulator', () => {
  const wild = { guests: [guest(1, 2, 3, 4)], host: WILD, failure: SILENT }
  assert.match(emulatorFault(run(wild)) ?? '', /guest left its code after tick 4/)
  assert.match(emulatorFault(run({ ...wild, failure: ASKED, kind: 'command' })) ?? '', /left its code/)
  const trial = { ...start('', 1200, false, 'second'), isIncoming: true }
  const host = { ...WILD, qemuStarts: [...WILD.qemuStarts, trial] }
  assert.match(emulatorFault(run({ ...wild, host })) ?? '', /left its code/)
  // Nothing was restored into the only QEMU that the guest ever had.
  const first = { ...WILD, qemuStarts: WILD.qemuStarts.slice(1) }
  assert.match(emulatorFault(run({ guests: [guest()], host: first, failure: SILENT })) ?? '', /after tick 0/)
  const booting = run({ ...wild, guests: [guest()], host: { ...first, ...IN_FIRMWARE } })
  assert.match(emulatorFault(booting) ?? '', /left its firmware/)
})

test('a guest that stopped is a failure unless nothing else can be the cause', () => {
  const wild = (more: Partial<HostEvidence>, guests = [guest(1, 2, 3, 4)], failure = SILENT) =>
    emulatorFault(run({ guests, failure, host: { ...WILD, ...more } }))
  const [before, after] = WILD.qemuStarts as [QemuStart, QemuStart]
  const faults = {
    'its code is not whole': wild({ stoppedGuests: [stopped(1250, { hasItsCode: false })] }),
    'ticks, and no code': wild(IN_FIRMWARE),
    'an update had paused it': wild({ stoppedGuests: [stopped(1250, { state: 'postmigrate' })] }),
    'it runs': wild({ stoppedGuests: [] }),
    'another one has stopped': wild({ stoppedGuests: [stopped(1)] }),
    'one tick since its restore': wild({}, [guest(1, 2, 3)]),
    'restored, and silent': wild({ qemuStarts: [{ ...after, isIncoming: true }] }, [guest()]),
    'a bad word': wild({}, [{ ...guest(1, 2, 3, 4), ticks: [...guest(1, 2, 3).ticks, bad] }]),
    'a tick is missing': wild({}, [guest(1, 2, 3, 5)]),
    'two QEMUs in this boot': wild({ qemuStarts: [before, { ...after, atMs: 1100, pid: 1 }, after] }),
    'a QEMU of an unknown log': wild({ qemuStarts: [before, after, start('', 1200, false, 'second')] }),
    'no QEMU of it in this boot': wild({ qemuStarts: [before, start('other', 1150, false, 'second')] }),
    'the wait for another': wild({}, undefined, SILENT.replace('guest', 'at-boot')),
    'an assertion': emulatorFault(
      run({ guests: [guest(1, 2, 3, 4)], host: WILD, failure: ASKED, kind: 'assertion' }),
    ),
    'another command': emulatorFault(
      run({ guests: [guest(1, 2, 3, 4)], host: WILD, failure: 'no JSON', kind: 'command' }),
    ),
  }
  for (const [name, fault] of Object.entries(faults)) assert.equal(fault, undefined, name)
})
const bad = { number: 4, bad: 1, atMs: 1300 }

test('what a scenario asserts is never excused, nor a guest that is silent, nor a host that never was', () => {
  assert.equal(emulatorFault(run({ guests: RESET, kind: 'assertion' })), undefined)
  assert.equal(emulatorFault(run({ guests: [guest()] })), undefined)
  assert.equal(emulatorFault(run({ guests: RESET, host: undefined })), undefined)
})
