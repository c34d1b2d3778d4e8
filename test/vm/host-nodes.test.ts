/**
 * What QEMU asks of the host's memory nodes reaches a memfd through the mount: mbind(2) of the file's mapping
 * is kept in the memfd (shmem_set_policy(), mm/shmem.c). Each next QEMU asks it again.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { nodeIds } from '../../src/linux/memory-nodes.ts'
import { printed } from '../mount/support.ts'
import { mountVmPool, qemuPid, ramOptions, startTinyVm, updateVmm, type VmPool } from './support.ts'

const [node] = nodeIds()

test('policy and host-nodes of a RAM file are in effect, and after an update again', {
  skip: node === undefined && 'this kernel has no memory nodes (CONFIG_NUMA)',
}, async (t) => {
  const pool = await mountVmPool(t)
  const [size, words, object, options] = ramOptions(pool.path('bound')) as [string, string, string, string]
  const bound = [size, words, object, `${options},policy=bind,host-nodes=${node}`]
  const vm = await startTinyVm(t, pool, 'bound', { ramOptions: bound })
  await vm.serial.moreTicks(2)
  assert.match(policyOf(qemuPid(vm.name), pool.path('bound')), new RegExp(`^bind:${node} .* N${node}=\\d+ `))
  assert.deepEqual(await nodesOf(pool), [node])

  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 0, stderr)
  await vm.serial.moreTicks(2)
  assert.match(policyOf(qemuPid(vm.name), pool.path('bound')), new RegExp(`^bind:${node} .* N${node}=\\d+ `))
  assert.equal(vm.serial.findBreak(), undefined)
})

/** The process's mapping of the file, as numa_maps has it behind the address. */
function policyOf(pid: number, path: string): string {
  const lines = readFileSync(`/proc/${pid}/numa_maps`, 'latin1').split('\n')
  const line = lines.find((each) => each.includes(` file=${path} `))
  return line?.slice(line.indexOf(' ') + 1) ?? assert.fail(`${path} is in no line of numa_maps`)
}

async function nodesOf(pool: VmPool): Promise<readonly number[] | null | undefined> {
  const { pools } = await printed('list')
  return pools.find(({ mountPoint }) => mountPoint === pool.mountPoint)?.ram[0]?.nodes
}
