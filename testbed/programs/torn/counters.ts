/**
 * The progress of the load: two numbers in a guest RAM file of the pool. A store into it survives any end of
 * the kernel: so it is the only record in the host of the last acknowledged operation.
 */
import { closeSync, openSync } from 'node:fs'
import { mapRaw, type RawMapping, readRaw, writeRaw } from '../../../src/linux/raw-memory.ts'
import { Errno } from '../../../src/values/errno.ts'
import type { Fd } from '../../../src/values/ids.ts'

export interface Counts {
  /** Operations that were begun, and those that were answered: as many, or one less. */
  readonly begun: number
  readonly acknowledged: number
}

const RAM_BYTES = 2 ** 21

export class Counters {
  readonly #mapping: RawMapping

  /** `path`: a file of 2 MiB in a pool on a carve-out. */
  constructor(path: string) {
    const fd = openSync(path, 'r+') as Fd
    const mapping = mapRaw(fd, RAM_BYTES, { writable: true })
    closeSync(fd)
    if (mapping instanceof Errno) throw new Error(`mmap ${path}: ${mapping}`)
    this.#mapping = mapping
  }

  begin(count: number): void {
    this.#write(0, count)
  }

  acknowledge(count: number): void {
    this.#write(8, count)
  }

  read(): Counts {
    const bytes = Buffer.alloc(16)
    readRaw(this.#mapping, 0, bytes)
    return { begun: bytes.readUInt32LE(0), acknowledged: bytes.readUInt32LE(8) }
  }

  #write(offset: number, count: number): void {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(count)
    writeRaw(this.#mapping, offset, bytes)
  }
}
