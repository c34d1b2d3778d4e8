/**
 * A program of a few instructions that makes a KVM virtual machine with one processor that never runs, and
 * keeps it open. KVM patches its static keys whenever the first such processor is made or the last one
 * removed (arch/x86/kvm/lapic.c, apic_sw_disabled; kernel/sched/core.c, preempt_notifier_key): with this one
 * from the boot on, KVM patches no code that guests run.
 */

const LOAD_ADDRESS = 0x400000
const HEADER_BYTES = 64 + 56
const PATH = Buffer.from('/dev/kvm\0')

/** include/uapi/linux/kvm.h: `_IO(0xae, n)`. */
const [CREATE_VM, CREATE_IRQCHIP, CREATE_VCPU] = [0xae01, 0xae60, 0xae41]
const SYSCALL = [0x0f, 0x05]

const word = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)]
/** ioctl(EDI, request, 0); the answer is in EAX. */
const ioctl = (request: number): number[] => [
  ...[0xbe, ...word(request)], // MOV ESI, request
  ...[0x31, 0xd2], // XOR EDX, EDX
  ...[0xb8, ...word(16), ...SYSCALL], // MOV EAX, ioctl
]
const EDI_IS_EAX = [0x89, 0xc7]
const EDI_IS_EBX = [0x89, 0xdf]
const EBX_IS_EAX = [0x89, 0xc3]

function code(): Buffer {
  // Of the path, behind the code, from the instruction after this one; its length does not depend on it.
  const open = (distance: number): number[] => [
    ...[0x48, 0x8d, 0x3d, ...word(distance)], // LEA RDI, [RIP + distance]
    ...[0xbe, ...word(2)], // MOV ESI, O_RDWR
    ...[0xb8, ...word(2), ...SYSCALL], // MOV EAX, open
  ]
  const rest = [
    ...[...EDI_IS_EAX, ...ioctl(CREATE_VM), ...EBX_IS_EAX],
    ...[...EDI_IS_EBX, ...ioctl(CREATE_IRQCHIP)],
    ...[...EDI_IS_EBX, ...ioctl(CREATE_VCPU)],
    ...[0xb8, ...word(34), ...SYSCALL, 0xeb, 0xf7], // pause(2), in a loop
  ]
  const length = open(0).length + rest.length
  return Buffer.from([...open(length - 7), ...rest, ...PATH])
}

/** The program as an ELF file for x86-64, with one segment. */
export function buildHeldVm(): Uint8Array {
  const text = code()
  const header = Buffer.alloc(HEADER_BYTES)
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]) // ELF, 64 bits, little-endian, version 1
  header.writeUInt16LE(2, 16) // ET_EXEC
  header.writeUInt16LE(62, 18) // EM_X86_64
  header.writeUInt32LE(1, 20)
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS + HEADER_BYTES), 24) // entry
  header.writeBigUInt64LE(64n, 32) // program header
  header.writeUInt16LE(64, 52)
  header.writeUInt16LE(56, 54)
  header.writeUInt16LE(1, 56)
  header.writeUInt32LE(1, 64) // PT_LOAD
  header.writeUInt32LE(5, 68) // read, execute
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 80)
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 88)
  const size = BigInt(HEADER_BYTES + text.length)
  header.writeBigUInt64LE(size, 96)
  header.writeBigUInt64LE(size, 104)
  header.writeBigUInt64LE(4096n, 112)
  return Buffer.concat([header, text])
}
