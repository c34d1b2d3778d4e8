/** Tests of guests whose QEMU runs in namespaces of its own: the next one runs there, or is refused. */
import assert from 'node:assert/strict'
import { existsSync, readlinkSync } from 'node:fs'
import { test } from 'node:test'
import { readRuntime, vmPaths } from '../../src/run/vm-runtime.ts'
import { CLI, kill, until } from '../mount/support.ts'
import { listVms, mountVmPool, qemuPid, quitFirst, scratchFolder, startTinyVm, updateVmm } from './support.ts'
import { watcherPid } from './watcher-pid.ts'

const network = (pid: number): string => readlinkSync(`/proc/${pid}/ns/net`)

test('a guest whose QEMU is in a network of its own gets its next ones there', async (t) => {
  const pool = await mountVmPool(t)
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

/**
 * Kills the process of guestmemfs that sees the end of the guest's QEMU: the watcher, or the supervisor of a
 * former version, which no guest has any more after a kexec.
 */
async function killBeside(name: string): Promise<void> {
  const supervisor = readRuntime(name)?.supervisor
  if (supervisor !== undefined) return await kill(supervisor.pid)
  await until('the watcher has read its machine', () => existsSync(vmPaths(name).machine))
  await kill(watcherPid())
}

test('a guest in a network of its own gets its next QEMU there when the process that watched it was killed', async (t) => {
  for (const [word, options] of [
    ['unwatched', []],
    ['unwatched-alone', quitFirst(scratchFolder(t))],
  ] as const) {
    const pool = await mountVmPool(t)
    const command = ['unshare', '--net', process.execPath, CLI] as const
    const vm = await startTinyVm(t, pool, word, { command, options })
    const before = qemuPid(vm.name)
    const its = network(before)
    await killBeside(vm.name)
    await vm.serial.moreTicks(1)
    assert.equal(qemuPid(vm.name), before, 'the guest needs no other process')

    const { status, stderr, report } = await updateVmm(pool)
    assert.deepEqual([status, report.vms[0]?.outcome], [0, 'updated'], stderr)
    assert.notEqual(qemuPid(vm.name), before)
    assert.equal(network(qemuPid(vm.name)), its)
    assert.equal((await listVms(pool))[0]?.state, 'running')
    await vm.serial.moreTicks(2)
    assert.equal(vm.serial.findBreak(), undefined)
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
