/** Tests of the rehearsal of a kernel's update, from a plan on. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { kernelImageBytes } from '../../linux/testing/kernel-images.ts'
import { planKernelUpdate } from '../kernel/kernel-plan.ts'
import { HOST, POOL, vmOf } from '../preflight/testing/facts.ts'
import { sampleUpdate } from '../report/page/testing/sample-updates.ts'
import { rehearseKernel } from './rehearse-kernel.ts'
import type { RehearsedLoad } from './rehearse-load.ts'

const scratch = mkdtempSync(join(tmpdir(), 'rehearse-kernel-'))
after(() => rmSync(scratch, { recursive: true }))
const KERNEL = join(scratch, 'vmlinuz')
writeFileSync(KERNEL, kernelImageBytes({ banner: '7.3.4-test (builder) #1 SMP' }))

async function rehearsed(load: RehearsedLoad, host = HOST, kernel = KERNEL) {
  const commandLine = { append: undefined, reuses: true }
  const choice = { kernel, initrd: undefined, commandLine, via: 'kexec', left: [] } as const
  const idle = vmOf('web', 'saved')
  const pools = [{ ...POOL, vms: [{ ...idle, definition: { ...idle.definition, mountPoint: '/mnt/p' } }] }]
  const preflight = await planKernelUpdate(choice, host, pools, [])
  const loaded: string[] = []
  const state = host.kexec
  const { rehearsal } = await rehearseKernel(preflight, [sampleUpdate()], {
    state,
    load: async (_, line) => {
      loaded.push(line)
      return { load, signalStatus: undefined }
    },
  })
  preflight.next?.close()
  return { ...rehearsal, loaded }
}

const messages = ({ findings }: { findings: readonly { severity: string; message: string }[] }): string =>
  findings.map(({ severity, message }) => `${severity}: ${message}`).join('\n')

test('where nothing is against it the kernel is loaded, and the update would begin', async () => {
  const good = await rehearsed({ outcome: 'unloaded', why: null })
  assert.deepEqual([good.isReady, good.loaded], [true, ['root=/dev/vda']], messages(good))
  assert.deepEqual(
    good.guests.map(({ name, state, fate, expected }) => [name, state, fate, expected]),
    [['web', 'saved', 'carried', null]],
  )
})

test('a refused update loads nothing, and a kernel that is not loaded refuses it', async () => {
  const refused = await rehearsed({ outcome: 'unloaded', why: null }, { ...HOST, isPrivileged: false })
  assert.deepEqual([refused.isReady, refused.loaded], [false, []])
  assert.deepEqual(refused.load, { outcome: 'left-out', why: 'the update is refused' })
  assert.doesNotMatch(messages(refused), /was not loaded/)
  const missing = await rehearsed({ outcome: 'unloaded', why: null }, HOST, join(scratch, 'none'))
  assert.deepEqual([missing.isReady, missing.loaded], [false, []])

  const unsigned = await rehearsed({ outcome: 'refused', why: 'it requires a signature' })
  assert.equal(unsigned.isReady, false)
  assert.match(messages(unsigned), /^error: it requires a signature$/m)
  const busy = await rehearsed({ outcome: 'left-out', why: 'a kernel is loaded already' })
  assert.equal(busy.isReady, true)
  assert.match(
    messages(busy),
    /^warn: the next kernel was not loaded to try it: a kernel is loaded already$/m,
  )
  const stuck = await rehearsed({ outcome: 'left-loaded', why: 'unload it' })
  assert.equal(stuck.isReady, false)
})
