/**
 * The bench of `live-update --vmm-only` with the next QEMU first, against the same update with the old QEMU
 * first and against QEMU's ordinary migration: a guest with a disk and a NIC.
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { interleave, type Measured, medianOf } from './harness.ts'
import { ordinaryBlackoutMs } from './peers/qemu-migrate.ts'
import { withPool } from './pool.ts'
import { atMostRow, fact, type Result, type Row } from './report.ts'
import { updateBlackoutMs } from './vmm-update.ts'

const MIB = 1024 ** 2
const RAM_MIB = 1024
const DISK_MIB = 64

function machineOptions(scratch: string): string[] {
  const disk = join(scratch, 'disk.raw')
  const fd = openSync(disk, 'w')
  ftruncateSync(fd, DISK_MIB * MIB)
  closeSync(fd)
  return [
    ...['-blockdev', `driver=raw,node-name=disk0,file.driver=file,file.filename=${disk}`],
    ...['-device', 'virtio-blk-pci,drive=disk0,id=vd0'],
    ...['-netdev', 'user,id=net0', '-device', 'virtio-net-pci,netdev=net0,id=nic0,romfile='],
  ]
}

function rows([first, quit, ordinary]: readonly Measured[]): Row[] {
  const ms = (side: Measured | undefined): number => medianOf(side!, 'blackoutMs')
  return [
    fact('next QEMU first', `${ms(first).toFixed(1)} ms`),
    fact('old QEMU first', `${ms(quit).toFixed(1)} ms`),
    fact('migrate file:', `${ms(ordinary).toFixed(0)} ms`),
    atMostRow('next first against old first', ms(first) / ms(quit), 0.5),
    atMostRow(`next first against migrate file:, ${RAM_MIB} MiB`, ms(first) / ms(ordinary), 0.03),
  ]
}

export async function benchSuccessorFirst(rounds: number, progress: (line: string) => void): Promise<Result> {
  const scratch = mkdtempSync('/dev/shm/guestmemfs-bench-')
  try {
    const bytes = RAM_MIB * MIB
    const measured = await withPool(`${RAM_MIB + 256}M`, async (pool) => {
      const update = (more: readonly string[]) => async () => ({
        blackoutMs: await updateBlackoutMs(pool, scratch, bytes, [...machineOptions(scratch), ...more]),
      })
      const ordinary = async () => ({
        blackoutMs: await ordinaryBlackoutMs(scratch, bytes, machineOptions(scratch)),
      })
      const sides = [
        { name: 'guestmemfs, next QEMU first', run: update([]) },
        // One process has the file, so the old QEMU must end before the next one is started.
        { name: 'guestmemfs, old QEMU first', run: update(['-pidfile', join(scratch, 'pid')]) },
        { name: 'migrate file:', run: ordinary },
      ]
      return await interleave(sides, { rounds, progress })
    })
    return {
      name: 'successor-first',
      title: `A new QEMU under a running guest of ${RAM_MIB} MiB with a disk and a NIC: how long it is stopped`,
      settings: { rounds, ramMib: RAM_MIB },
      measured,
      rows: rows(measured),
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
