/** Tests that a rehearsal leaves no kernel loaded, and takes none away. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EPERM, type Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import type { NextKernel } from '../preflight/check-next-kernel.ts'
import { HOST } from '../preflight/testing/facts.ts'
import { rehearseLoad } from './rehearse-load.ts'

const NEXT = {} as NextKernel

function kexec({ load = () => {}, unloads }: { load?: () => void; unloads?: Errno } = {}) {
  const called: string[] = []
  return {
    called,
    load: (_: NextKernel, commandLine: string) => {
      called.push(`load ${commandLine}`)
      load()
    },
    unload: () => {
      called.push('unload')
      return unloads
    },
  }
}

test('the kernel is loaded as an update loads it, and unloaded', async () => {
  const calls = kexec()
  const { load, signalStatus } = await rehearseLoad(NEXT, 'root=/dev/vda', HOST.kexec, calls)
  assert.deepEqual(load, { outcome: 'unloaded', why: null })
  assert.equal(signalStatus, undefined)
  assert.deepEqual(calls.called, ['load root=/dev/vda', 'unload'])
})

test('one that another program has loaded stays, and the last loads are not used up', async () => {
  for (const state of [{ isLoaded: true }, { callsLeft: 1 }]) {
    const calls = kexec()
    const { load } = await rehearseLoad(NEXT, '', { ...HOST.kexec, ...state }, calls)
    assert.equal(load.outcome, 'left-out')
    assert.match(load.why ?? '', /loaded already|permits 1 more/)
    assert.deepEqual(calls.called, [])
  }
})

test('a kernel that is refused is not unloaded, and one that stays loaded is named', async () => {
  const refusing = kexec({
    load: () => {
      throw new UsageError('this kernel does not load it')
    },
  })
  const refused = await rehearseLoad(NEXT, '', HOST.kexec, refusing)
  assert.deepEqual(refused.load, { outcome: 'refused', why: 'this kernel does not load it' })
  assert.equal(refusing.called.includes('unload'), false)

  const { load } = await rehearseLoad(NEXT, '', HOST.kexec, kexec({ unloads: EPERM }))
  assert.equal(load.outcome, 'left-loaded')
  assert.match(load.why ?? '', /cannot be unloaded \(EPERM\): unload it with 'kexec -s -u'/)
})

test('a signal in the middle of the load comes after the unload', async () => {
  const calls = kexec({ load: () => process.kill(process.pid, 'SIGTERM') })
  const { load, signalStatus } = await rehearseLoad(NEXT, '', HOST.kexec, calls)
  assert.equal(load.outcome, 'unloaded')
  assert.equal(signalStatus, 128 + 15)
  assert.equal(process.listenerCount('SIGTERM'), 0)
})
