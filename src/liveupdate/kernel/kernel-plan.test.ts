import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { kernelImageBytes } from '../../linux/testing/kernel-images.ts'
import { HOST, linesOf, POOL, vmOf } from '../preflight/testing/facts.ts'
import { planKernelUpdate } from './kernel-plan.ts'

const scratch = mkdtempSync(join(tmpdir(), 'kernel-plan-'))
after(() => rmSync(scratch, { recursive: true }))

const [KERNEL, INITRD] = [join(scratch, 'vmlinuz'), join(scratch, 'initrd')]
writeFileSync(KERNEL, kernelImageBytes({ banner: '7.3.4-test (builder) #1 SMP' }))
writeFileSync(INITRD, '070701xxxx')
const CHOICE = {
  kernel: KERNEL,
  initrd: INITRD,
  via: 'kexec',
  commandLine: { append: undefined, reuses: true },
} as const

test('the plan has all findings at once, and is a plain value', async () => {
  const none = { kernel: join(scratch, 'none'), initrd: undefined, via: 'kexec', left: [] } as const
  const commandLine = { append: 'x'.repeat(3000), reuses: false }
  const bad = await planKernelUpdate(
    { ...none, commandLine },
    { ...HOST, isPrivileged: false, regions: [{ start: 2 ** 32, lengthBytes: 2 ** 30 }] },
    [{ ...POOL, vms: [], imageErrors: ['bad'] }],
    [],
  )
  const refused = bad.findings.filter(({ severity }) => severity === 'error')
  assert.equal(refused.length, 5, linesOf(bad.findings).join('\n'))
  assert.equal(bad.plan.next, undefined)

  const good = await planKernelUpdate(
    { ...none, kernel: KERNEL, initrd: INITRD, commandLine: { append: undefined, reuses: true } },
    HOST,
    [{ ...POOL, vms: [] }],
    [],
  )
  assert.deepEqual(JSON.parse(JSON.stringify(good.plan)), {
    via: 'kexec',
    left: [],
    kernel: KERNEL,
    initrd: INITRD,
    before: '6.12.0',
    next: '7.3.4-test',
    commandLine: 'root=/dev/vda',
    pools: [{ pool: 'p', mountPoint: '/mnt/p', store: 'dax', by: 'carve-out' }],
    vms: [],
  })
  const long = await planKernelUpdate({ ...none, kernel: KERNEL, commandLine }, HOST, [], [])
  assert.match(linesOf(long.findings).join(), /has 3000 bytes, it takes 2047/)
})

test('a guest that the operator leaves is warned of, and a name that no guest has is refused', async () => {
  const ending = { ...POOL, store: 'memfd', by: undefined, vms: [vmOf('a', 'running')] }
  const linesWith = async (left: readonly string[]) =>
    linesOf((await planKernelUpdate({ ...CHOICE, left }, HOST, [ending], [])).findings).join('\n')
  assert.match(await linesWith([]), /error: pool 'p' .* VM a with it/)
  const left = await linesWith(['a'])
  assert.match(left, /warn: VM a is left: it ends with this kernel, and nothing of it is saved/)
  assert.doesNotMatch(left, /error: /)
  assert.match(await linesWith(['b']), /error: VM b cannot be left: no VM of that name runs/)
})

test('only a pool with a guest to resume is warned of where nothing mounts it at boot', async () => {
  const host = { ...HOST, bootMounts: { pools: [], mountPoints: [] } }
  const warned = async (pool: Partial<typeof POOL>, left: readonly string[] = []): Promise<number> => {
    const { findings } = await planKernelUpdate({ ...CHOICE, left }, host, [{ ...POOL, ...pool }], [])
    return linesOf(findings).filter((line) => line.includes("mounts pool 'p' at boot")).length
  }
  assert.equal(await warned({ vms: [vmOf('b', 'saved')] }), 1)
  assert.equal(await warned({ vms: [vmOf('c', 'dead')] }), 0)
  assert.equal(await warned({ vms: [vmOf('a', 'running')] }, ['a']), 0)
  assert.equal(await warned({ vms: [vmOf('b', 'saved')], isChosen: false }), 0)
})
