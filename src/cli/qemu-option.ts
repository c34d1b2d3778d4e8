/**
 * The parser of `--qemu`. In a file of its own, because `mount` loads the other parsers before a guest can
 * wait for a QEMU.
 */
import { findBinary } from '../qemu/binary.ts'

/** `--qemu`: the program that a shell would start. Errors: UsageError. */
export const qemuOption = (typed: string | undefined): string | undefined =>
  typed === undefined ? undefined : findBinary(typed, process.cwd(), process.env.PATH ?? '')
