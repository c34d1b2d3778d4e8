import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { QemuVersion } from '../../qemu/qemu-version.ts'
import { programProblem } from './next-programs.ts'

const qemu = (version: QemuVersion) => ({
  path: '/usr/bin/qemu',
  version,
  machines: [{ name: 'pc-q35-8.2' }],
})

test('a suspended guest is given to no QEMU that would run it in place of keeping it suspended', () => {
  assert.equal(programProblem(qemu('8.2.9'), 'pc-q35-8.2', false), undefined)
  assert.equal(
    programProblem(qemu('8.2.9'), 'pc-q35-8.2', true),
    '/usr/bin/qemu (QEMU 8.2.9): it cannot load a suspended guest: take QEMU 9.0.0 or newer',
  )
  assert.equal(programProblem(qemu('9.0.0'), 'pc-q35-8.2', true), undefined)
})

test('a QEMU without the machine type of the guest is named', () => {
  assert.match(
    programProblem(qemu('10.0.2'), 'pc-q35-10.0', false) ?? '',
    /has no machine type pc-q35-10\.0$/,
  )
})
