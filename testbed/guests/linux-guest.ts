/**
 * The Linux guest: Debian's cloud kernel with a busybox and one script, which keeps a checked file and a
 * counter in its memory and prints `tick N bad M` as the tiny guest does. It shows that a whole kernel with
 * its clocks, timers and page cache goes on; with devices, that its disk (the first virtio one) and its
 * network card (QEMU's user network) do, too.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findKernel } from '../debian/kernel.ts'
import { ensureRoomForFirstRun } from '../first-run.ts'
import { findBusybox } from '../image/busybox.ts'
import { type CpioEntry, writeCpio } from '../image/cpio.ts'
import { collectModules, type Module } from '../image/modules.ts'

/** Long-lived: Debian stable's own. */
const KERNEL = '6.12'

const APPLETS = ['sh', 'mount', 'mkdir', 'dd', 'md5sum', 'cat', 'sleep', 'echo', 'insmod', 'ip', 'ping']
const DEVICE_MODULES = ['virtio_pci', 'virtio_blk', 'virtio_net']

/** Each pass writes the disk, reads it back with direct I/O, and pings the other end of the network. */
const CHECK_DEVICES = `
check_devices() {
  echo $n | dd of=/dev/vda bs=512 count=1 conv=sync oflag=direct 2>/dev/null
  dd if=/dev/vda bs=512 count=1 iflag=direct 2>/dev/null | { read -r got; [ "$got" = $n ]; } || bad=$((bad + 1))
  ping -c 1 -W 60 10.0.2.2 >/dev/null 2>&1 || bad=$((bad + 1))
}
mount -t devtmpfs none /dev
for module in /modules/*; do insmod $module; done
until [ -b /dev/vda ]; do sleep 0.1; done
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0`

const init = (checkDevices: string): string => `#!/bin/sh
check_devices() { :; }${checkDevices}
mount -t tmpfs none /data
dd if=/dev/urandom of=/data/file bs=1M count=4 2>/dev/null
wanted=$(md5sum </data/file)
n=0 bad=0
while :; do
  n=$((n + 1))
  echo $n >/data/count
  sleep 0.1
  [ "$(cat /data/count) $(md5sum </data/file)" = "$n $wanted" ] || bad=$((bad + 1))
  check_devices
  echo "tick $n bad $bad"
done
`

export interface LinuxGuest {
  /** For `-kernel`, `-initrd` and `-append`. */
  readonly kernel: string
  readonly initrd: string
  readonly commandLine: string
  /** The least RAM it boots with. */
  readonly ramMebibytes: number
}

/** What an initramfs has besides busybox. */
export interface GuestParts {
  /** That of process 1. */
  readonly script: string
  readonly applets: readonly string[]
  readonly folders?: readonly string[]
  /** Programs and their libraries, by path; the folders must be among those above. */
  readonly files?: ReadonlyMap<string, Uint8Array>
  /** Loaded by the script, in the order of their names in /modules. */
  readonly modules?: readonly string[]
}

/**
 * Fetches the kernel through apt into the cache if it is not there, and writes the initramfs into `folder`.
 */
export const buildLinuxGuest = (
  folder: string,
  { devices = false }: { readonly devices?: boolean } = {},
): Promise<LinuxGuest> =>
  buildGuest(folder, {
    script: init(devices ? CHECK_DEVICES : ''),
    applets: APPLETS,
    modules: devices ? DEVICE_MODULES : [],
  })

/** As `buildLinuxGuest`, with another script. */
export async function buildGuest(folder: string, parts: GuestParts): Promise<LinuxGuest> {
  const kernel = await findKernel(KERNEL)
  const busyboxPath = await findBusybox()
  const modules = await collectModules(kernel, parts.modules ?? [], [busyboxPath, 'xzcat'])
  const initrd = join(folder, 'initramfs')
  writeFileSync(initrd, writeCpio(entries(readFileSync(busyboxPath), modules, parts)))
  return { kernel: kernel.vmlinuz, initrd, commandLine: 'console=ttyS0 quiet', ramMebibytes: 256 }
}

function entries(
  busybox: Buffer,
  modules: readonly Module[],
  { script, applets, folders = [], files = new Map() }: GuestParts,
): CpioEntry[] {
  return [
    ...['bin', 'dev', 'data', 'modules', ...folders].map((path): CpioEntry => ({ path, type: 'folder' })),
    // For init's output and dd, before a file system is mounted.
    { path: 'dev/console', type: 'character device', major: 5, minor: 1 },
    { path: 'dev/null', type: 'character device', major: 1, minor: 3 },
    { path: 'dev/urandom', type: 'character device', major: 1, minor: 9 },
    { path: 'bin/busybox', type: 'file', mode: 0o755, bytes: busybox },
    ...applets.map((name): CpioEntry => ({ path: `bin/${name}`, type: 'symlink', target: 'busybox' })),
    { path: 'init', type: 'file', mode: 0o755, bytes: Buffer.from(script) },
    ...[...files].map(([path, bytes]): CpioEntry => ({ path, type: 'file', mode: 0o755, bytes })),
    // Each module after those it depends on.
    ...modules.map(
      ({ name, bytes }, index): CpioEntry => ({
        path: `modules/${String(index).padStart(2, '0')}-${name}.ko`,
        type: 'file',
        bytes,
      }),
    ),
  ]
}

/** Downloads into the cache what `buildLinuxGuest` uses. Errors: UsageError (no room for it). */
export async function prefetchLinuxGuest(): Promise<void> {
  ensureRoomForFirstRun()
  await findKernel(KERNEL)
  await findBusybox()
}
