/**
 * Starts and ends `hold.ts` from an exercise: a process of its own, which may outlive the exercise, and so
 * must not keep the exercise's output open.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const HOLD = fileURLToPath(new URL('./hold.ts', import.meta.url))

export interface RunningHolder {
  readonly pid: number
  /** CRC of all that it maps, after it was filled. */
  readonly crc: number
  kill(): Promise<void>
}

export async function startHolder(path: string, lengthBytes: number, seed?: number): Promise<RunningHolder> {
  const words = [HOLD, path, String(lengthBytes), ...(seed === undefined ? [] : [String(seed)])]
  const child = spawn(process.execPath, words, { detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code, signal) => reject(new Error(`${path} could not be held: ${signal ?? code}`)))
  })
  const kill = async (): Promise<void> => {
    child.ref()
    const ended = once(child, 'close')
    child.kill('SIGKILL')
    await ended
  }
  child.unref()
  return { pid: child.pid as number, crc: Number(line.split(' ')[1]), kill }
}
