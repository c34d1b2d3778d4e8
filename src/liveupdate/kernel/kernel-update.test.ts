/**
 * The last moment before the jump, with a domain of a libvirt of the tests: no kernel is loaded or started.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { UUID } from '../../libvirt/testing/domain-xml.ts'
import { newLibvirt } from '../../libvirt/testing/saved-domain.ts'
import type { NextKernel } from '../preflight/check-next-kernel.ts'
import { type RolledBack, updateKernel } from './kernel-update.ts'

/** `meanwhile`: called when all is done but the jump. */
async function update(t: TestContext, meanwhile: (resume: () => Promise<string>) => void) {
  const libvirt = newLibvirt(t)
  const domain = libvirt.start()
  let jumps = 0
  const kexec = {
    load: () => {},
    unload: () => {},
    jump: async () => {
      jumps++
      return 'this test does not jump'
    },
  }
  const result: RolledBack = await updateKernel(
    {
      plan: {
        ...{ via: 'kexec', kernel: '/nowhere', initrd: null, before: '6.12', next: '7.3', commandLine: '' },
        ...{ pools: [], vms: [], left: [] },
      },
      // Only `load` looks at it.
      next: undefined as unknown as NextKernel,
      ...{ vms: [], lines: new Map(), recorded: [], timeoutMs: 20_000, patienceMs: 10_000 },
      libvirt: { domains: [domain], known: [UUID], tools: libvirt.tools },
      onProgress: (line) => {
        if (line.startsWith('jumping')) meanwhile(() => libvirt.tools.run(['resume', UUID]))
      },
    },
    kexec,
  )
  return { libvirt, jumps, ...result }
}

test('a guest that is still as it was saved does not hold up the jump', async (t) => {
  const { jumps, reason, vms, libvirt } = await update(t, () => {})
  assert.deepEqual([jumps, reason], [1, 'this test does not jump'])
  assert.deepEqual(
    vms.map(({ outcome, problem }) => [outcome, problem]),
    [['rolled-back', null]],
  )
  assert.equal(libvirt.tick(), 1)
})

test('no jump where another client has continued a guest since it was saved', async (t) => {
  const { jumps, reason, vms, libvirt } = await update(t, (resume) => void resume())
  assert.equal(jumps, 0)
  assert.match(reason, /^VM web: another client of its QEMU has continued it/)
  assert.deepEqual(
    vms.map(({ outcome }) => outcome),
    ['rolled-back'],
  )
  assert.equal(libvirt.tick(), 1)
})
