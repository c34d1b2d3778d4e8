/** The facts about the machine that a result needs to be understood. No names of hosts, no paths. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { installedQemu } from '../src/host/qemu-package.ts'
import { formatVersion } from '../src/host/version.ts'
import { kernelRelease, memoryInfo, shmemHugePages } from '../src/linux/memory-info.ts'

export function machineFacts() {
  const qemu = installedQemu()
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: memoryInfo().totalBytes,
    kernel: kernelRelease().text,
    node: process.version,
    qemu: qemu ? formatVersion(qemu) : null,
    shmemHugePages: String(shmemHugePages()),
    /** One-minute load when the run began: what else the machine was doing. */
    load: Number(readFileSync('/proc/loadavg', 'latin1').split(' ')[0]),
  }
}
