/** Tests of guests whose QEMU runs in namespaces of its own: the next one runs there, or is refused. */
import assert from 'node:assert/strict'
import { readlinkSync } from 'node:fs'
import { test } from 'node:test'
import { CLI } from '../mount/support.ts'
import { mountVmPool, qemuPid, quitFirst, scratchFolder, startTinyVm, updateVmm } from './support.ts'

test('a guest whose QEMU is in a network of its own gets its next ones there', async (t) => {
  const pool = await mountVmPool(t)
  const network = (pid: number) => readlinkSync(`/proc/${pid}/ns/net`)
  for (const [word, options] of [
    ['netns', []],
    ['netns-alone', quitFirst(scratchFolder(t))],
  ] as const) {
    const command = ['unshare', '--net', process.execPath, CLI] as const
    const vm = await startTinyVm(t, pool, word, { command, options })
    const its = network(qemuPid(vm.name))
    assert.notEqual(its, network(process.pid))
    for (const _ of [1, 2]) {
      const { status, stderr } = await updateVmm(pool)
      assert.equal(status, 0, stderr)
      await vm.serial.moreTicks(1)
      assert.equal(network(qemuPid(vm.name)), its)
    }
  }
})

test('a guest whose QEMU is in a mount namespace of its own is refused', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'mntns', { command: ['unshare', '--mount', process.execPath, CLI] })
  const pid = qemuPid(vm.name)
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.match(stderr, /its QEMU runs in a mount namespace of its own, and the next one would not/)
  assert.equal(qemuPid(vm.name), pid)
})
