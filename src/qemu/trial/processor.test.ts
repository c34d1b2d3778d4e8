import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type GuestProcessor, otherProcessor } from './processor.ts'

const processor = (accelerator: string, features: Record<string, number>): GuestProcessor => ({
  same: new Map([['accelerator', accelerator]]),
  features: new Map(Object.entries(features)),
})

test('another accelerator and features that are gone are problems, features that came are a remark', () => {
  const running = processor('KVM', { '0x1 ECX': 0x80000201, '0x7.0 EBX': 0x20 })
  assert.deepEqual(otherProcessor(running, running), { problems: [], remarks: [] })
  const other = otherProcessor(running, processor('another than KVM', { '0x1 ECX': 0x80000203 }))
  assert.equal(other.problems.length, 2)
  assert.match(
    other.problems[0] as string,
    /of accelerator another than KVM, and the guest has accelerator KVM/,
  )
  assert.match(other.problems[1] as string, /\(bits 0x20 of CPUID 0x7\.0 EBX\)/)
  assert.equal(other.remarks.length, 1)
  assert.match(other.remarks[0] as string, /\(bits 0x2 of CPUID 0x1 ECX\)/)
})

test('the highest bit of a register is one like any other', () => {
  const [all, none] = [processor('KVM', { '0x1 ECX': 0xffffffff }), processor('KVM', {})]
  assert.match(otherProcessor(all, none).problems.join(), /bits 0xffffffff of/)
  assert.deepEqual(otherProcessor(none, all).problems, [])
})
