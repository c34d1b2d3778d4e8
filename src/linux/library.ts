/**
 * The C library as koffi shows it: one loaded library, one way to declare a call, one way to read errno. It
 * declares no particular system call; the file that documents one does.
 *
 * Pointers are passed as typed arrays (koffi passes the address of their bytes, nothing is copied) or as
 * plain numbers, which are exact: user addresses on Linux end at 2^47, or 2^52 at most. Variadic calls
 * (fcntl, ioctl, syscall) are declared with fixed integer arguments: on x86-64 and arm64 Linux both
 * conventions pass integers in the same registers.
 */
import { Errno, errnoFromCode } from '../values/errno.ts'
import { SystemCallError } from '../values/errors.ts'
import { loadKoffi } from './load-koffi.ts'

export type CType =
  | 'int'
  | 'uint'
  | 'long'
  | 'ulong'
  | 'size_t'
  | 'int64_t'
  | 'uintptr_t'
  | 'void *'
  | 'str'
  | 'str?'
export type CArgument = number | bigint | string | null | ArrayBufferView

const koffi = loadKoffi()
const libc = koffi.load('libc.so.6')

/**
 * A call of the C library that returns an integer. Arguments are checked by koffi at run time, not by
 * TypeScript.
 */
export function libcCall(
  name: string,
  result: CType,
  parameters: readonly CType[],
): (...args: CArgument[]) => number {
  return libc.func(name, result, [...parameters])
}

/** Why the last call failed. Valid only directly after it: any other call may change it. */
export function lastErrno(): Errno {
  return errnoFromCode(koffi.errno())
}

/** For failures the caller plans for: the call's result, or the errno when it is negative. */
export function orErrno(result: number): number | Errno {
  return result < 0 ? lastErrno() : result
}

/** For calls whose success carries no value. */
export function errnoUnlessZero(result: number): Errno | undefined {
  return result === 0 ? undefined : lastErrno()
}

/**
 * For failures the caller does not plan for: `result` is a system call's own, negative when it failed, or
 * that of a function that returns an `Errno`. `call` names the call and its object, as in `ftruncate fd 7`.
 * Throws SystemCallError.
 */
export function must<T>(result: T | Errno, call: string): T {
  if (typeof result === 'number' && result < 0) throw new SystemCallError(call, lastErrno())
  if (result instanceof Errno) throw new SystemCallError(call, result)
  return result
}

/** The errno of what node:fs throws: `errno` there is negative. Anything else is thrown again. */
export function errnoOfNodeError(error: unknown): Errno {
  if (error instanceof Error && 'errno' in error && typeof error.errno === 'number' && error.errno < 0) {
    return errnoFromCode(-error.errno)
  }
  throw error
}

/**
 * The address of a typed array's bytes.
 * SAFETY: it stays valid while the array is reachable and is not detached: keep both together, pass the
 * address to nothing that outlives the array.
 */
export function addressOf(bytes: ArrayBufferView): number {
  return Number(koffi.address(bytes))
}

/**
 * Mapped memory as bytes, without a copy.
 * SAFETY: `address` must be a mapping of at least `lengthBytes` that is never unmapped: the garbage collector
 * does not keep the mapping, and a view may be used until the process ends.
 */
export function viewOf(address: number, lengthBytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(koffi.view(BigInt(address), lengthBytes))
}

/**
 * Resolves when `fd` can be read, has ended or has failed (the next read shows which). Uses the event loop,
 * not a thread, so any number may wait. The descriptor must stay open until then.
 */
export function untilReadable(fd: number): { readonly readable: Promise<void>; readonly cancel: () => void } {
  let cancel = (): void => {}
  const readable = new Promise<void>((resolve) => {
    // koffi closes a handle that is collected: the callback's closure is what keeps this one alive.
    const handle = koffi.node.poll(fd, { readable: true, disconnect: true }, () => {
      handle.close()
      resolve()
    })
    cancel = () => {
      handle.close()
      resolve()
    }
  })
  return { readable, cancel: () => cancel() }
}
