/**
 * A child that waits before it executes its program, while the process that started it puts it on record and
 * gives it its cgroup and limits. It is started as a program of some instructions, which reads one byte from
 * a socket, executes the words after its own, and keeps pid, credentials, environment and descriptors. Where
 * the other end of the socket is closed, it ends and has executed nothing. Numbers:
 * include/uapi/linux/memfd.h, arch/x86/entry/syscalls/syscall_64.tbl; layout of the first stack: System V ABI
 * for x86-64, 3.4.1.
 */
import type { Duplex } from 'node:stream'
import { Errno, errnoFromCode } from '../values/errno.ts'
import { close } from './descriptors.ts'
import { elfProgram, imm32, SYSCALL } from './elf-program.ts'
import { sealWrites, tryMemfdCreate, writeAllAt } from './memory.ts'

const EAX_IS = 0xb8
const EDX_IS = 0xba
const ESI_IS = 0xbe
const EDI_IS = 0xbf
const [READ, WRITE, EXECVE, EXIT, FCNTL] = [0, 1, 59, 60, 72]
const F_SETFD = 2
const FD_CLOEXEC = 1
/** LEA RSI, [RSP - 8] */
const RSI_BELOW_STACK = [0x48, 0x8d, 0x74, 0x24, 0xf8]

/** `socket`: its number in the child. */
function instructions(socket: number): Buffer {
  const onSocket = (call: number, ...more: number[]): number[] => [
    ...[EAX_IS, ...imm32(call), EDI_IS, ...imm32(socket)],
    ...more,
    ...SYSCALL,
  ]
  const exit = [EAX_IS, ...imm32(EXIT), EDI_IS, ...imm32(127), ...SYSCALL]
  const execute = [
    ...onSocket(FCNTL, ESI_IS, ...imm32(F_SETFD), EDX_IS, ...imm32(FD_CLOEXEC)),
    ...[EAX_IS, ...imm32(EXECVE)],
    ...[0x48, 0x8b, 0x7c, 0x24, 0x10], // MOV RDI, [RSP + 16]: the first word after its own
    ...[0x48, 0x8d, 0x74, 0x24, 0x10], // LEA RSI, [RSP + 16]
    ...[0x48, 0x8b, 0x14, 0x24], // MOV RDX, [RSP]: the number of words
    ...[0x48, 0x8d, 0x54, 0xd4, 0x10], // LEA RDX, [RSP + 8 * RDX + 16]: the environment
    ...SYSCALL,
    ...[0xf7, 0xd8], // NEG EAX
    ...[0x89, 0x44, 0x24, 0xf8], // MOV [RSP - 8], EAX
    ...onSocket(WRITE, ...RSI_BELOW_STACK, EDX_IS, ...imm32(4)),
  ]
  return Buffer.from([
    ...onSocket(READ, ...RSI_BELOW_STACK, EDX_IS, ...imm32(1)),
    ...[0x83, 0xf8, 1], // CMP EAX, 1
    ...[0x75, execute.length], // JNE over what executes
    ...execute,
    ...exit,
  ])
}

/** An errno of the kernel. */
const REPLY_BYTES = 4

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
  const fd = tryMemfdCreate('guestmemfs:held', { sealable: true, executable: true })
  if (fd instanceof Errno) return undefined
  const failed = writeAllAt(fd, 0, elfProgram(instructions(socket))) ?? sealWrites(fd)
  if (failed === undefined) return `/proc/self/fd/${fd}`
  close(fd)
  return undefined
}

/**
 * Lets the child execute its program. `socket`: this process's end. Resolves with why the kernel did not
 * execute it; undefined: it did, or the child has ended.
 */
export function executeHeld(socket: Duplex): Promise<Errno | undefined> {
  // One that was killed before: its socket closes once.
  if (socket.closed) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    let reply = Buffer.alloc(0)
    socket.on('data', (bytes: Buffer) => {
      reply = Buffer.concat([reply, bytes])
      // Its user may have another program write there.
      if (reply.length > REPLY_BYTES) socket.destroy()
    })
    socket.once('error', () => {}) // the child was killed
    socket.once('close', () =>
      resolve(reply.length === REPLY_BYTES ? errnoFromCode(reply.readInt32LE(0)) : undefined),
    )
    socket.end(Buffer.of(1))
  })
}
