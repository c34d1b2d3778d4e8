/** Reads and writes objects that are memfds, or files of tmpfs, by system calls on their descriptors. */
import { punchHole, readAt, seek, writeAt } from '../linux/memory.ts'
import type { Fd, ObjectId } from '../values/ids.ts'
import { Refusal } from '../values/refusal.ts'
import type { FileData } from './store.ts'

export class DescriptorData implements FileData {
  readonly #descriptorOf: (object: ObjectId) => Fd | Refusal

  /** `descriptorOf` refuses an object without a descriptor. */
  constructor(descriptorOf: (object: ObjectId) => Fd | Refusal) {
    this.#descriptorOf = descriptorOf
  }

  read(object: ObjectId, offset: number, into: Uint8Array): number | Refusal {
    const fd = this.#descriptorOf(object)
    return fd instanceof Refusal ? fd : readAt(fd, offset, into)
  }

  write(object: ObjectId, offset: number, from: Uint8Array): number | Refusal {
    const fd = this.#descriptorOf(object)
    return fd instanceof Refusal ? fd : writeAt(fd, offset, from)
  }

  punchHole(object: ObjectId, offset: number, length: number): Refusal | undefined {
    const fd = this.#descriptorOf(object)
    return fd instanceof Refusal ? fd : punchHole(fd, offset, length)
  }

  seek(object: ObjectId, offset: number, whence: number): number | Refusal {
    const fd = this.#descriptorOf(object)
    return fd instanceof Refusal ? fd : seek(fd, offset, whence)
  }
}
