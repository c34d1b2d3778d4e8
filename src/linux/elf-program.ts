/**
 * Programs of a few instructions for x86-64, as ELF files: for what has to run in a process of its own
 * before, or beside, a program that is not ours. Layout: include/uapi/linux/elf.h.
 */
const LOAD_ADDRESS = 0x400000
const ELF_HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
const TEXT_START = ELF_HEADER_BYTES + 2 * PROGRAM_HEADER_BYTES
const PT_LOAD = 1
const PT_GNU_STACK = 0x6474e551
const READ_EXECUTE = 5
const READ_WRITE = 6

export const SYSCALL = [0x0f, 0x05]

/** A 32-bit immediate. */
export const imm32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)]

/**
 * `text`: instructions, of which the first one begins the program, and constants; they must not depend on
 * their address. The stack cannot be executed.
 */
export function elfProgram(text: Uint8Array): Buffer {
  const header = Buffer.alloc(TEXT_START)
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]) // ELF, 64 bits, little-endian, version 1
  header.writeUInt16LE(2, 16) // ET_EXEC
  header.writeUInt16LE(62, 18) // EM_X86_64
  header.writeUInt32LE(1, 20)
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS + TEXT_START), 24) // entry
  header.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32) // program headers
  header.writeUInt16LE(ELF_HEADER_BYTES, 52)
  header.writeUInt16LE(PROGRAM_HEADER_BYTES, 54)
  header.writeUInt16LE(2, 56)
  header.writeUInt32LE(PT_LOAD, 64)
  header.writeUInt32LE(READ_EXECUTE, 68)
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 80)
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 88)
  const sizeBytes = BigInt(TEXT_START + text.length)
  header.writeBigUInt64LE(sizeBytes, 96)
  header.writeBigUInt64LE(sizeBytes, 104)
  header.writeBigUInt64LE(4096n, 112)
  header.writeUInt32LE(PT_GNU_STACK, 120)
  header.writeUInt32LE(READ_WRITE, 124)
  return Buffer.concat([header, text])
}
