/**
 * The guests of this host as one process watches them: it sees how each QEMU ends, which is no child of it,
 * reads its machine right after power-on, and keeps a page of its windows mapped. What is due after an end is
 * in `settle.ts`. It never changes a guest that runs, and no guest depends on it: where it is killed, records
 * of guests that end meanwhile stay until the next command that looks.
 */
import { fstatSync } from 'node:fs'
import { close } from '../../linux/descriptors.ts'
import { ExitEvents, pidfdsReportEnds } from '../../linux/exit-events.ts'
import { endOf, pidfdGetFd, pidfdOpen, waitExit } from '../../linux/process.ts'
import { type RawMapping, unmapRaw } from '../../linux/raw-memory.ts'
import { isAlive, isSameProcess, type ProcessIdentity } from '../../run/process-identity.ts'
import { liveQemu, readRuntime, vmNames } from '../../run/vm-runtime.ts'
import { Errno } from '../../values/errno.ts'
import type { Fd } from '../../values/ids.ts'
import { readAtStart } from '../machine/kept-reading.ts'
import { mapWindows } from '../ram-mapping.ts'
import { definitionOf, settle, settleUpdate } from './settle.ts'
import type { Request } from './watcher-messages.ts'

/** A watcher that was started for a guest's start is there by then. */
const START_MS = 20_000

interface Watched {
  readonly name: string
  readonly qemu: ProcessIdentity
  readonly over: Promise<void>
}

export class Watcher {
  readonly #watched = new Set<Watched>()
  readonly #updates = new Set<Promise<void>>()
  /** Where pidfds do not report how a process has ended. */
  readonly #events = pidfdsReportEnds() ? undefined : ExitEvents.open()
  readonly #onIdle: () => void

  /** `onIdle`: called when no guest is left. */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle
  }

  get isIdle(): boolean {
    return this.#watched.size === 0 && this.#updates.size === 0
  }

  /** Guests that were started while there was no such process, and what a killed update has left. */
  scan(): void {
    for (const name of vmNames()) {
      this.#follow(name)
      const { successor, predecessor } = readRuntime(name) ?? {}
      if (successor !== undefined || predecessor !== undefined) this.endUpdate(name)
    }
  }

  /** Errors: UsageError, where a window of /dev/mem cannot be mapped. */
  start({ name, qemu, hasAfter, saidAtMs, first, claimed }: Request & { do: 'start' }): void {
    if (isAlive(qemu)) {
      this.#watch(name, qemu, hasAfter, mapWindows(claimed))
      if (first !== null) this.#read(name, qemu, first)
      return
    }
    // Mostly a QEMU that refused its command line: its guest has hardly run.
    const isOver = first !== null && Date.now() - saidAtMs < START_MS
    const end = isOver ? { code: 1, signal: null } : undefined
    this.#add(name, qemu, settle({ name, qemu, end, streams: undefined }))
  }

  /** The command that updated the VM has ended its connection. */
  endUpdate(name: string): void {
    const over: Promise<void> = settleUpdate(name).then(() => {
      this.#follow(name)
      this.#updates.delete(over)
      this.#lookIdle()
    })
    this.#updates.add(over)
  }

  /** Resolves when all that is due is done, for QEMUs that have ended by now. */
  async settled(): Promise<void> {
    const ended = [...this.#watched].filter(({ qemu }) => !isAlive(qemu))
    await Promise.all(ended.map(({ over }) => over))
  }

  /** That process may not have waited for the answer: then it has another file at that number. */
  #read(name: string, qemu: ProcessIdentity, { fd, inode }: { fd: number; inode: number }): void {
    const pidfd = pidfdOpen(qemu.pid)
    if (pidfd instanceof Errno) return
    const copy = isAlive(qemu) ? pidfdGetFd(pidfd, fd as Fd) : undefined
    close(pidfd)
    if (copy === undefined || copy instanceof Errno) return
    const stat = fstatSync(copy)
    if (stat.isSocket() && stat.ino === inode) void readAtStart(name, qemu, copy)
    else close(copy)
  }

  #watch(name: string, qemu: ProcessIdentity, hasAfter: boolean, windows: readonly RawMapping[] = []): void {
    if ([...this.#watched].some((each) => isSameProcess(each.qemu, qemu))) return
    const pidfd = pidfdOpen(qemu.pid)
    if (pidfd instanceof Errno) return
    if (!isAlive(qemu)) {
      close(pidfd)
      return
    }
    const over = this.#untilEnd(name, qemu, pidfd, hasAfter)
    this.#add(
      name,
      qemu,
      over.then(() => {
        for (const window of windows) unmapRaw(window)
      }),
    )
  }

  #add(name: string, qemu: ProcessIdentity, over: Promise<void>): void {
    const watched: Watched = { name, qemu, over }
    this.#watched.add(watched)
    void over.then(() => {
      this.#watched.delete(watched)
      // Another QEMU may have the guest by now, which no command has reported.
      this.#follow(name)
      this.#lookIdle()
    })
  }

  async #untilEnd(name: string, qemu: ProcessIdentity, pidfd: Fd, hasAfter: boolean): Promise<void> {
    const streams = hasAfter ? streamsOf(pidfd) : undefined
    this.#events?.watch(qemu.pid)
    await waitExit(pidfd, -1)
    const end = this.#events?.take(qemu.pid) ?? endOf(pidfd, qemu.pid)
    close(pidfd)
    await settle({ name, qemu, end, streams })
    for (const stream of streams ?? []) close(stream)
  }

  #follow(name: string): void {
    const qemu = liveQemu(name)
    if (qemu !== undefined) this.#watch(name, qemu, definitionOf(name)?.after !== undefined)
  }

  #lookIdle(): void {
    if (this.isIdle) this.#onIdle()
  }
}

/** For the commands after QEMU's end. */
function streamsOf(pidfd: Fd): [Fd, Fd] | undefined {
  const [output, errors] = [1, 2].map((number) => pidfdGetFd(pidfd, number as Fd))
  if (output instanceof Errno || errors instanceof Errno) return undefined
  return [output as Fd, errors as Fd]
}
