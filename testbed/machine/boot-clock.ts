/** The duration of each boot, part by part, by the console's lines and the clock outside. */

export interface Boot {
  readonly release: string
  /** Firmware, or kexec's own work (which checks the digests of what it loaded), and decompression. */
  readonly loadMs: number
  /** From the kernel's first line to its first process. */
  readonly kernelMs: number
  /** From the first process to the agent's hello. */
  readonly userMs: number
}

/** The last line before a kexec, or before an emergency restart (drivers/tty/sysrq.c). */
const JUMP = /Starting new kernel|sysrq: Resetting/
const FIRST_LINE = /Linux version /
const FIRST_PROCESS = /Run \/\S+ as init process/

export class BootClock {
  readonly boots: Boot[] = []
  #startMs: number
  #kernelMs = 0
  #userMs = 0

  /** `nowMs`: when the machine was started. All times are milliseconds of one clock. */
  constructor(nowMs: number) {
    this.#startMs = nowMs
  }

  /** True for the last line of a kernel that jumps to another one, or resets the machine. */
  readConsole(line: string, nowMs: number): boolean {
    const jumps = JUMP.test(line)
    if (jumps) this.#startMs = nowMs
    else if (FIRST_LINE.test(line)) this.#kernelMs = nowMs
    else if (FIRST_PROCESS.test(line)) this.#userMs = nowMs
    return jumps
  }

  /** Called at the agent's hello, with which the boot is complete. */
  complete(release: string, nowMs: number): void {
    this.boots.push({
      release,
      loadMs: Math.round(this.#kernelMs - this.#startMs),
      kernelMs: Math.round(this.#userMs - this.#kernelMs),
      userMs: Math.round(nowMs - this.#userMs),
    })
  }
}
