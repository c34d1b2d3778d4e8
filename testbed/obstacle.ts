/**
 * Whether this machine can run the testbed: programs, memory, Debian packages. Downloads the packages that
 * this needs.
 */
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { memoryInfo } from '../src/linux/memory-info.ts'
import { errorText, UsageError } from '../src/values/errors.ts'
import { formatSize } from '../src/values/size.ts'
import { CommandError } from './command.ts'
import { findKernel, NEWEST } from './debian/kernel.ts'
import { ensureRoomForFirstRun } from './first-run.ts'
import type { Phase } from './kernel/build.ts'

const PROGRAMS = ['apt-get', 'apt-cache', 'dpkg-deb', 'mkfs.ext4', 'setpriv', 'flock'] as const
/** A host of 4 GiB uses little more than its guests do; the rest is for building its disks. */
const LEAST_MEMORY_BYTES = 4 * 2 ** 30

/** One line for why not, or `undefined`. The QEMU that runs the host comes from the cache. */
export async function testbedObstacle(phase: Phase): Promise<string | undefined> {
  const missing = PROGRAMS.filter((program) => !isOnPath(program))
  if (missing.length > 0) return `the testbed needs ${missing.join(', ')}`
  const { availableBytes } = memoryInfo()
  if (availableBytes < LEAST_MEMORY_BYTES)
    return `the testbed needs ${formatSize(LEAST_MEMORY_BYTES)} of free memory, there are ${formatSize(availableBytes)}`
  try {
    ensureRoomForFirstRun()
  } catch (error) {
    return errorText(error)
  }
  try {
    await phase('kernel lists', () => findKernel(NEWEST))
    return undefined
  } catch (error) {
    // Any other error is a fault of the testbed, and no reason to skip a test.
    if (error instanceof UsageError || error instanceof CommandError)
      return `the testbed gets no Debian kernel here: ${error.message.split('\n')[0]}`
    throw error
  }
}

/** Looks into /sbin and the like, too, which not every user has in PATH. */
function isOnPath(program: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin']
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
