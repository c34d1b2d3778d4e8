/**
 * A store of ordinary files in a folder of tmpfs: the proof that a fourth kind of store is one folder and one
 * row. It outlives every process, and no kernel. Each memory object is a file named by its number; `image` is
 * the metadata.
 */
import { closeSync, openSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOfNodeError, must } from '../../../linux/library.ts'
import { mapShared, resize } from '../../../linux/memory.ts'
import type { Errno } from '../../../values/errno.ts'
import { BrokenInvariantError } from '../../../values/errors.ts'
import type { Fd, ObjectId } from '../../../values/ids.ts'
import { MIB } from '../../../values/units.ts'
import { DescriptorData } from '../../descriptor-data.ts'
import {
  type FileData,
  type GuestRam,
  NO_RULES,
  type Placement,
  type Store,
  type StoreDescriptor,
} from '../../store.ts'

/** Sparse: only what is used takes memory. */
export const METADATA_BYTES = 16 * MIB
export const metadataPath = (folder: string): string => join(folder, 'image')

export class TmpfsStore implements Store {
  readonly descriptor: StoreDescriptor
  readonly data: FileData
  readonly ram: GuestRam
  readonly #folder: string
  readonly #metadata: Uint8Array
  readonly #descriptors = new Map<ObjectId, Fd>()
  #next = 1

  constructor(folder: string, totalBlocks: number) {
    this.#folder = folder
    this.descriptor = { kind: 'tmpfs', clearing: 'kernel', totalBlocks, rules: NO_RULES, place: undefined }
    this.data = new DescriptorData((object) => this.#fd(object))
    this.ram = { via: 'passthrough', mapping: (object) => ({ via: 'passthrough', fd: this.#fd(object) }) }
    const metadata = openSync(metadataPath(folder), 'a+') as Fd
    must(resize(metadata, METADATA_BYTES), `ftruncate ${metadataPath(folder)}`)
    this.#metadata = mapShared(metadata, METADATA_BYTES)
    for (const name of readdirSync(folder)) {
      if (!/^\d+$/.test(name)) continue
      const object = Number(name) as ObjectId
      this.#descriptors.set(object, openSync(join(folder, name), 'r+') as Fd)
      this.#next = Math.max(this.#next, object + 1)
    }
  }

  create(): ObjectId | Errno {
    const object = this.#next as ObjectId
    try {
      this.#descriptors.set(object, openSync(this.#path(object), 'wx+') as Fd)
    } catch (error) {
      return errnoOfNodeError(error)
    }
    this.#next++
    return object
  }

  /** Nothing to do: the constructor has read the folder. */
  adopt(): void {}

  resize(object: ObjectId, { sizeBytes }: Placement): Errno | undefined {
    return resize(this.#fd(object), sizeBytes)
  }

  /** The kernel keeps the pages of a removed file for those that map it, and no other file gets them. */
  isHeld(): false {
    return false
  }

  release(object: ObjectId): void {
    const fd = this.#descriptors.get(object)
    if (fd === undefined) return
    rmSync(this.#path(object), { force: true })
    closeSync(fd)
    this.#descriptors.delete(object)
  }

  objects(): Iterable<ObjectId> {
    return [...this.#descriptors.keys()]
  }

  state(): 'present' {
    return 'present'
  }

  metadataArea(): Uint8Array {
    return this.#metadata
  }

  #path(object: ObjectId): string {
    return join(this.#folder, String(object))
  }

  #fd(object: ObjectId): Fd {
    const fd = this.#descriptors.get(object)
    if (fd === undefined) throw new BrokenInvariantError(`memory object ${object} is no file`)
    return fd
  }
}
