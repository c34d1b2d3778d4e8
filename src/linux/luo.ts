/**
 * The Live Update Orchestrator's system calls: sessions, and memfds preserved in them across a kexec.
 * Sources: include/uapi/linux/liveupdate.h, kernel/liveupdate/luo_session.c, mm/memfd_luo.c, as Linux 7.3 has
 * them.
 *
 * A session is its descriptor: when its last copy is closed, the kernel unpreserves what it preserves; and in
 * the next kernel, frees what was not yet retrieved from it.
 */
import { existsSync, openSync } from 'node:fs'
import { EBUSY, Errno } from '../values/errno.ts'
import { BrokenInvariantError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { close } from './descriptors.ts'
import { errnoOfNodeError, errnoUnlessZero, libcCall } from './library.ts'
import { sleepBlocking } from './process.ts'

const ioctl = libcCall('ioctl', 'int', ['int', 'ulong', 'void *'])

const DEVICE = '/dev/liveupdate'

/** _IO(0xBA, n). */
const request = (number: number): number => 0xba00 | number
const CREATE_SESSION = request(0x00)
const RETRIEVE_SESSION = request(0x01)
const SESSION_PRESERVE_FD = request(0x40)
const SESSION_RETRIEVE_FD = request(0x41)
const SESSION_FINISH = request(0x42)

/** LIVEUPDATE_SESSION_NAME_LENGTH, the terminating NUL included. */
const NAME_BYTES = 64
export const SESSION_NAME_MAX = NAME_BYTES - 1

/** How /proc/PID/fd shows a session: the link of its descriptor, without the name that follows. */
export const SESSION_LINK = 'anon_inode:[luo_session] '

/** Whether this kernel has it, and was booted with `kho=on liveupdate=on`. */
export const hasLiveUpdate = (): boolean => existsSync(DEVICE)

/**
 * The device, which one process may have open at a time: close it at once. Errors: EBUSY (another process has
 * it), EIO (what the former kernel handed over could not be read: all of it is lost), ENOENT, EACCES.
 */
export function openLiveUpdate(): Fd | Errno {
  try {
    return openSync(DEVICE, 'r+') as Fd
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

/** A new session for the next kernel. Errors: EEXIST (the name is taken), ENOMEM, EMFILE. */
export const createSession = (device: Fd, name: string): Fd | Errno =>
  sessionCall(device, CREATE_SESSION, name)

/**
 * A session that the former kernel handed over. Errors: ENOENT (none of that name), EINVAL (it was retrieved
 * before), EMFILE.
 */
export const retrieveSession = (device: Fd, name: string): Fd | Errno =>
  sessionCall(device, RETRIEVE_SESSION, name)

/** struct liveupdate_ioctl_create_session {u32 size; s32 fd; u8 name[64]}, and the same to retrieve one. */
function sessionCall(device: Fd, number: number, name: string): Fd | Errno {
  if (Buffer.byteLength(name) > SESSION_NAME_MAX)
    throw new BrokenInvariantError(`session name ${name} is too long`)
  const call = Buffer.alloc(8 + NAME_BYTES)
  call.writeUInt32LE(call.length, 0)
  call.write(name, 8, 'utf8')
  // SAFETY: the kernel reads and writes the call.length bytes that the first word names.
  return errnoUnlessZero(ioctl(device, number, call)) ?? (call.readInt32LE(4) as Fd)
}

/**
 * Preserves a memfd: its pages are pinned, its holes are filled, and it can be neither resized nor punched
 * until the session is closed. A process that maps it may go on writing, up to the kexec. Takes time in
 * proportion to its pages. Errors: EEXIST (token taken in this session), EBUSY (preserved already), ENOENT
 * (not a memfd), ENOSPC (the session is full), ENOMEM, EFBIG, EOPNOTSUPP (its seals), EINVAL.
 */
export function preserve(session: Fd, fd: Fd, token: bigint): Errno | undefined {
  return errnoUnlessZero(ioctl(session, SESSION_PRESERVE_FD, tokenCall(fd, token)))
}

/**
 * The memfd of `token`, close-on-exec. The kernel returns it again until the session is finished. Takes time
 * in proportion to its pages. Errors: ENOENT (no such token), and those of the first failure, at each further
 * call: ENOMEM (memory cgroup, overcommit), EIO, EINVAL.
 */
export function retrieve(session: Fd, token: bigint): Fd | Errno {
  const call = tokenCall(-1, token)
  return errnoUnlessZero(ioctl(session, SESSION_RETRIEVE_FD, call)) ?? (call.readInt32LE(4) as Fd)
}

/**
 * struct liveupdate_session_preserve_fd {u32 size; s32 fd; u64 token}, and the same to retrieve. SAFETY: of
 * the size its first word names.
 */
function tokenCall(fd: number, token: bigint): Buffer {
  const call = Buffer.alloc(16)
  call.writeUInt32LE(call.length, 0)
  call.writeInt32LE(fd, 4)
  call.writeBigUInt64LE(token, 8)
  return call
}

/**
 * Nothing more is retrieved from the session: what was not is freed. Errors: EBUSY (a file of it cannot be
 * finished yet), EINVAL (it is not from the former kernel).
 */
export function finishSession(session: Fd): Errno | undefined {
  const call = Buffer.alloc(8)
  call.writeUInt32LE(call.length, 0)
  // SAFETY: struct liveupdate_session_finish {u32 size; u32 reserved}, of the size its first word names.
  return errnoUnlessZero(ioctl(session, SESSION_FINISH, call))
}

const BUSY_RETRY_MS = 20

/**
 * Runs `work` with the device open. Errors: those of `openLiveUpdate`. Other processes have the device open
 * for moments: this thread waits up to `patienceMs` before EBUSY is the answer.
 */
export function withLiveUpdate<T>(work: (device: Fd) => T, patienceMs = 0): T | Errno {
  const deadline = performance.now() + patienceMs
  let device = openLiveUpdate()
  while (device === EBUSY && performance.now() < deadline) {
    sleepBlocking(BUSY_RETRY_MS)
    device = openLiveUpdate()
  }
  if (device instanceof Errno) return device
  try {
    return work(device)
  } finally {
    close(device)
  }
}
