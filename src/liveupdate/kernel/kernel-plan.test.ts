import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Vm } from '../../qemu/vm-list.ts'
import { checkHost, type HostFacts } from '../preflight/check-host.ts'
import { checkPools, checkUnmanagedGuests, type PoolFacts, survivesBy } from '../preflight/check-pools.ts'
import { checkShutdown } from '../preflight/check-shutdown.ts'
import type { PreflightFinding } from '../preflight/finding.ts'
import { examineNextKernel } from '../preflight/next-kernel.ts'
import { planKernelUpdate } from './kernel-plan.ts'

const scratch = mkdtempSync(join(tmpdir(), 'preflight-'))
after(() => rmSync(scratch, { recursive: true }))

/** The head of a bzImage, as Documentation/arch/x86/boot.rst has it. */
function imageHead(release: string): Buffer {
  const head = Buffer.alloc(4096)
  head.writeUInt16LE(0xaa55, 0x1fe)
  head.write('HdrS', 0x202)
  head.writeUInt16LE(0x020f, 0x206)
  head.writeUInt16LE(0x400 - 0x200, 0x20e)
  head.writeUInt16LE(0x7f, 0x236)
  head.writeUInt32LE(2047, 0x238)
  head.write(`${release} (builder) #1 SMP\0`, 0x400)
  return head
}

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(scratch, name)
  writeFileSync(path, bytes)
  return path
}

const messages = (findings: readonly PreflightFinding[]): string[] =>
  findings.map(({ severity, message }) => `${severity}: ${message}`)

const KERNEL = file('vmlinuz', imageHead('7.3.4-test'))
const INITRD = file('initrd', '070701xxxx')
mkdirSync(join(scratch, 'modules/7.3.4-test'), { recursive: true })
const examine = (kernel: string, initrd?: string) =>
  examineNextKernel(kernel, initrd, join(scratch, 'modules'))

test('a kernel image tells its release and how long a command line it takes', () => {
  const { next, findings } = examine(KERNEL, INITRD)
  assert.deepEqual(next, { release: '7.3.4-test', commandLineMax: 2047, sizeBytes: 4096 + 10 })
  assert.deepEqual(findings, [])
  assert.match(
    messages(examine(file('other', imageHead('6.1.0'))).findings).join(),
    /^warn: .*6\.1\.0 is missing/,
  )
})

test('files that are not what they are given for', () => {
  const broken = (change: (head: Buffer) => void): string => {
    const head = imageHead('1.0')
    change(head)
    return messages(examine(file('broken', head)).findings).join()
  }
  assert.match(
    broken((head) => head.fill(0, 0x202, 0x206)),
    /^refuse: kernel .* is not a Linux kernel image/,
  )
  assert.match(
    broken((head) => head.writeUInt16LE(0x0200, 0x206)),
    /no 64-bit kernel/,
  )
  assert.match(
    broken((head) => head.writeUInt16LE(1, 0x236)),
    /no 64-bit kernel/,
  )
  assert.match(messages(examine(file('empty', '')).findings).join(), /is not a Linux kernel image/)
  assert.match(messages(examine(join(scratch, 'none')).findings).join(), /^refuse: kernel .*none is missing$/)
  assert.match(messages(examine(scratch).findings).join(), /cannot be read: EISDIR/)
  const initrd = messages(examine(KERNEL, file('text', 'hello world')).findings)
  assert.match(initrd.join(), /^refuse: initrd .* is no cpio archive/)
  assert.match(
    messages(examine(KERNEL, join(scratch, 'none')).findings).join(),
    /^refuse: initrd .* is missing$/,
  )
})

const HOST: HostFacts = {
  release: '6.12.0',
  commandLine: 'root=/dev/vda',
  isPrivileged: true,
  kexec: { exists: true, isLoaded: false, isDisabled: false, lockdown: 'none' },
  availableBytes: 2 ** 30,
  hasSystemd: false,
  hadInitrd: false,
  firmware: [],
  regions: [],
  liveUpdate: undefined,
  version: 'Linux version 6.12.0 (builder) (gcc) #1 SMP',
  kvmGuests: [],
}
const WANTED = { via: 'kexec', loadBytes: 20 * 2 ** 20, hasInitrd: false } as const

test('a machine that can, and each thing that it cannot', () => {
  assert.deepEqual(checkHost(HOST, WANTED), [])
  const say = (facts: Partial<HostFacts>, wanted = {}) =>
    messages(checkHost({ ...HOST, ...facts }, { ...WANTED, ...wanted })).join()
  const kexec = (change: object) => say({ kexec: { ...HOST.kexec, ...change } })
  assert.match(say({ isPrivileged: false }), /^refuse: a kexec needs root/)
  assert.match(kexec({ exists: false }), /^refuse: this kernel has no kexec/)
  assert.match(kexec({ isDisabled: true }), /^refuse: .*kexec_load_disabled/)
  assert.match(kexec({ lockdown: 'integrity' }), /^warn: this kernel is locked down \(integrity\)/)
  assert.match(kexec({ isLoaded: true }), /^warn: a kernel is loaded/)
  assert.match(say({}, { via: 'systemctl' }), /^refuse: --via systemctl needs systemd/)
  assert.equal(say({ hasSystemd: true }, { via: 'systemctl' }), '')
  assert.match(
    say({ availableBytes: 2 ** 26 }),
    /^refuse: loading the next kernel takes 104M of memory, 64M are free/,
  )
  assert.match(say({ hadInitrd: true }), /^warn: no --initrd is given/)
})

const vm = (name: string, state: Vm['state']): Vm =>
  ({ definition: { name, saved: state === 'saved' ? {} : null }, state, qemu: undefined }) as unknown as Vm
const POOL: PoolFacts = {
  pool: 'p',
  mountPoint: '/mnt/p',
  store: 'dax',
  by: 'carve-out',
  handover: undefined,
  outlivesShutdown: false,
  place: undefined,
  isChosen: true,
  holdsFiles: true,
  imageErrors: [],
  vms: [vm('a', 'running'), vm('b', 'saved'), vm('c', 'dead')],
  problems: [],
}

test('every guest must be in memory that outlives the kernel', () => {
  const say = (change: Partial<PoolFacts>) => messages(checkPools([{ ...POOL, ...change }], []))
  assert.deepEqual(say({}), [])
  assert.match(
    say({ store: 'memfd', by: undefined }).join(),
    /^refuse: pool 'p' \(store=memfd\) .* VM a, b with it: .*store=dax/,
  )
  assert.match(
    say({ store: 'memfd', by: undefined, vms: [] }).join(),
    /^warn: pool 'p' .* and its files with it$/,
  )
  assert.deepEqual(say({ store: 'memfd', by: undefined, vms: [], holdsFiles: false }), [])
  assert.deepEqual(say({ store: 'memfd', by: 'luo' }), [])
  assert.deepEqual(
    (['dax', 'devmem', 'memfd'] as const).map((store) => [survivesBy(store, true), survivesBy(store, false)]),
    [
      ['carve-out', 'carve-out'],
      ['carve-out', 'carve-out'],
      ['luo', undefined],
    ],
  )
  assert.match(say({ imageErrors: ['bad'] }).join(), /^refuse: the image of pool 'p' is not sound: bad/)
  assert.match(say({ isChosen: false }).join(), /^refuse: VM a of pool 'p' would end .* leave --mount away/)
  assert.match(say({ problems: ['no VM of ours'] }).join(), /^refuse: no VM of ours$/)
  assert.match(messages(checkPools([], ['q'])).join(), /^warn: pool 'q' is parked/)
})

test('memory that a process holds must live through the shutdown that systemd leads', () => {
  const say = (via: 'kexec' | 'systemctl', change: Partial<PoolFacts>) =>
    messages(checkShutdown(via, [{ ...POOL, ...change }])).join()
  assert.match(say('systemctl', { by: 'luo' }), /^refuse: pool 'p' would be killed on the way down/)
  assert.equal(say('systemctl', { by: 'luo', outlivesShutdown: true }), '')
  assert.equal(say('kexec', { by: 'luo' }), '')
  assert.equal(say('systemctl', { by: 'carve-out' }), '')
})

test('a guest that nobody takes along is mentioned', () => {
  const running = { ...vm('a', 'running'), qemu: { pid: 7, startTime: '1' } }
  const guests = [7, 8].map((pid) => ({ pid, program: 'qemu' }))
  const said = messages(checkUnmanagedGuests([{ ...POOL, vms: [running] }], guests))
  assert.match(said.join(), /^warn: process 8 \(qemu\) runs a guest/)
})

test('the plan holds all that is wrong at once, and is a plain value', async () => {
  const none = { kernel: join(scratch, 'none'), initrd: undefined, via: 'kexec' } as const
  const commandLine = { append: 'x'.repeat(3000), reuses: false }
  const bad = await planKernelUpdate(
    { ...none, commandLine },
    { ...HOST, isPrivileged: false, regions: [{ start: 2 ** 32, lengthBytes: 2 ** 30 }] },
    [{ ...POOL, vms: [], imageErrors: ['bad'] }],
    [],
  )
  const refused = bad.findings.filter(({ severity }) => severity === 'refuse')
  assert.equal(refused.length, 5, messages(bad.findings).join('\n'))
  assert.equal(bad.plan.next, undefined)

  const good = await planKernelUpdate(
    { ...none, kernel: KERNEL, initrd: INITRD, commandLine: { append: undefined, reuses: true } },
    HOST,
    [{ ...POOL, vms: [] }],
    [],
  )
  assert.deepEqual(JSON.parse(JSON.stringify(good.plan)), {
    via: 'kexec',
    kernel: KERNEL,
    initrd: INITRD,
    before: '6.12.0',
    next: '7.3.4-test',
    commandLine: 'root=/dev/vda',
    pools: [{ pool: 'p', mountPoint: '/mnt/p', store: 'dax', by: 'carve-out' }],
    vms: [],
  })
  const long = await planKernelUpdate({ ...none, kernel: KERNEL, commandLine }, HOST, [], [])
  assert.match(messages(long.findings).join(), /has 3000 bytes, it takes 2047/)
})
