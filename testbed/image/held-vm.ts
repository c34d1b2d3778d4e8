/**
 * A program of a few instructions that makes a KVM virtual machine with one processor that never runs, and
 * keeps it open. KVM patches its static keys whenever the first such processor is made or the last one
 * removed (arch/x86/kvm/lapic.c, apic_sw_disabled; kernel/sched/core.c, preempt_notifier_key): with this one
 * from the boot on, KVM patches no code that guests run.
 */

import { elfProgram, imm32, SYSCALL } from '../../src/linux/elf-program.ts'

const PATH = Buffer.from('/dev/kvm\0')

/** include/uapi/linux/kvm.h: `_IO(0xae, n)`. */
const [CREATE_VM, CREATE_IRQCHIP, CREATE_VCPU] = [0xae01, 0xae60, 0xae41]

/** ioctl(EDI, request, 0); the answer is in EAX. */
const ioctl = (request: number): number[] => [
  ...[0xbe, ...imm32(request)], // MOV ESI, request
  ...[0x31, 0xd2], // XOR EDX, EDX
  ...[0xb8, ...imm32(16), ...SYSCALL], // MOV EAX, ioctl
]
const EDI_IS_EAX = [0x89, 0xc7]
const EDI_IS_EBX = [0x89, 0xdf]
const EBX_IS_EAX = [0x89, 0xc3]

function code(): Buffer {
  // Of the path, behind the code, from the instruction after this one; its length does not depend on it.
  const open = (distance: number): number[] => [
    ...[0x48, 0x8d, 0x3d, ...imm32(distance)], // LEA RDI, [RIP + distance]
    ...[0xbe, ...imm32(2)], // MOV ESI, O_RDWR
    ...[0xb8, ...imm32(2), ...SYSCALL], // MOV EAX, open
  ]
  const rest = [
    ...[...EDI_IS_EAX, ...ioctl(CREATE_VM), ...EBX_IS_EAX],
    ...[...EDI_IS_EBX, ...ioctl(CREATE_IRQCHIP)],
    ...[...EDI_IS_EBX, ...ioctl(CREATE_VCPU)],
    ...[0xb8, ...imm32(34), ...SYSCALL, 0xeb, 0xf7], // pause(2), in a loop
  ]
  const length = open(0).length + rest.length
  return Buffer.from([...open(length - 7), ...rest, ...PATH])
}

/** The program as an ELF file. */
export const buildHeldVm = (): Uint8Array => elfProgram(code())
