/**
 * A child that waits before it executes its program, while the process that started it puts it on record and
 * gives it its cgroup and limits. It is started as a program of some instructions, which reads one byte from
 * a socket, executes the words after its own, and keeps pid, credentials, environment and descriptors. Where
 * the other end of the socket is closed, it ends and has executed nothing. Numbers:
 * include/uapi/linux/memfd.h, arch/x86/entry/syscalls/syscall_64.tbl; layout of the first stack: System V ABI
 * for x86-64, 3.4.1.
 */
import type { Duplex } from 'node:stream'
import { EINVAL, Errno, errnoFromCode } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { close } from './descriptors.ts'
import { libcCall, orErrno } from './library.ts'
import { sealWrites, writeAllAt } from './memory.ts'

const memfd_create = libcCall('memfd_create', 'int', ['str', 'uint'])

const MFD_CLOEXEC = 1
const MFD_ALLOW_SEALING = 2
/** Since Linux 6.3; before, every memfd can be executed. */
const MFD_EXEC = 0x10

const LOAD_ADDRESS = 0x400000
const ELF_HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
const TEXT_START = ELF_HEADER_BYTES + 2 * PROGRAM_HEADER_BYTES

const word = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)]
const EAX_IS = 0xb8
const EDX_IS = 0xba
const ESI_IS = 0xbe
const EDI_IS = 0xbf
const SYSCALL = [0x0f, 0x05]
const [READ, WRITE, EXECVE, EXIT, FCNTL] = [0, 1, 59, 60, 72]
const F_SETFD = 2
const FD_CLOEXEC = 1
/** LEA RSI, [RSP - 8] */
const RSI_BELOW_STACK = [0x48, 0x8d, 0x74, 0x24, 0xf8]

/** `socket`: its number in the child. */
function instructions(socket: number): Buffer {
  const onSocket = (call: number, ...more: number[]): number[] => [
    ...[EAX_IS, ...word(call), EDI_IS, ...word(socket)],
    ...more,
    ...SYSCALL,
  ]
  const exit = [EAX_IS, ...word(EXIT), EDI_IS, ...word(127), ...SYSCALL]
  const execute = [
    ...onSocket(FCNTL, ESI_IS, ...word(F_SETFD), EDX_IS, ...word(FD_CLOEXEC)),
    ...[EAX_IS, ...word(EXECVE)],
    ...[0x48, 0x8b, 0x7c, 0x24, 0x10], // MOV RDI, [RSP + 16]: the first word after its own
    ...[0x48, 0x8d, 0x74, 0x24, 0x10], // LEA RSI, [RSP + 16]
    ...[0x48, 0x8b, 0x14, 0x24], // MOV RDX, [RSP]: the number of words
    ...[0x48, 0x8d, 0x54, 0xd4, 0x10], // LEA RDX, [RSP + 8 * RDX + 16]: the environment
    ...SYSCALL,
    ...[0xf7, 0xd8], // NEG EAX
    ...[0x89, 0x44, 0x24, 0xf8], // MOV [RSP - 8], EAX
    ...onSocket(WRITE, ...RSI_BELOW_STACK, EDX_IS, ...word(4)),
  ]
  return Buffer.from([
    ...onSocket(READ, ...RSI_BELOW_STACK, EDX_IS, ...word(1)),
    ...[0x83, 0xf8, 1], // CMP EAX, 1
    ...[0x75, execute.length], // JNE over what executes
    ...execute,
    ...exit,
  ])
}

/** An ELF file for x86-64 of one segment, whose stack cannot be executed. */
function elfOf(text: Buffer): Buffer {
  const header = Buffer.alloc(TEXT_START)
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]) // 64 bits, little-endian, version 1
  header.writeUInt16LE(2, 16) // ET_EXEC
  header.writeUInt16LE(62, 18) // EM_X86_64
  header.writeUInt32LE(1, 20)
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS + TEXT_START), 24) // entry
  header.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32) // program headers
  header.writeUInt16LE(ELF_HEADER_BYTES, 52)
  header.writeUInt16LE(PROGRAM_HEADER_BYTES, 54)
  header.writeUInt16LE(2, 56)
  header.writeUInt32LE(1, 64) // PT_LOAD
  header.writeUInt32LE(5, 68) // read, execute
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 80)
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 88)
  const sizeBytes = BigInt(TEXT_START + text.length)
  header.writeBigUInt64LE(sizeBytes, 96)
  header.writeBigUInt64LE(sizeBytes, 104)
  header.writeBigUInt64LE(4096n, 112)
  header.writeUInt32LE(0x6474e551, 120) // PT_GNU_STACK
  header.writeUInt32LE(6, 124) // read, write
  return Buffer.concat([header, text])
}

const programs = new Map<number, string | undefined>()

/**
 * The path, in a child of this process, of the program that waits. `socket`: the number that the child has
 * the socket at. undefined: another architecture, or this kernel executes no memfds (vm.memfd_noexec).
 */
export function heldProgram(socket: number): string | undefined {
  if (!programs.has(socket)) programs.set(socket, makeProgram(socket))
  return programs.get(socket)
}

function makeProgram(socket: number): string | undefined {
  if (process.arch !== 'x64') return undefined
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING
  const first = orErrno(memfd_create('guestmemfs-held', flags | MFD_EXEC))
  const fd = first === EINVAL ? orErrno(memfd_create('guestmemfs-held', flags)) : first
  if (fd instanceof Errno) return undefined
  const failed = writeAllAt(fd as Fd, 0, elfOf(instructions(socket))) ?? sealWrites(fd as Fd)
  if (failed === undefined) return `/proc/self/fd/${fd}`
  close(fd as Fd)
  return undefined
}

/**
 * Lets the child execute its program. `socket`: this process's end. Resolves with why the kernel did not
 * execute it; undefined: it did, or the child has ended.
 */
export function executeHeld(socket: Duplex): Promise<Errno | undefined> {
  return new Promise((resolve) => {
    let said = Buffer.alloc(0)
    socket.on('data', (bytes: Buffer) => {
      said = Buffer.concat([said, bytes])
    })
    socket.once('error', () => {}) // the child was killed
    socket.once('close', () => resolve(said.length === 4 ? errnoFromCode(said.readInt32LE(0)) : undefined))
    socket.end(Buffer.of(1))
  })
}
