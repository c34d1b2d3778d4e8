/**
 * Tests that `mount -t guestmemfs` and an fstab line work, with what `guestmemfs install` writes. mount(8)
 * looks for its helper in /sbin alone: the test mounts an overlay over it in a mount namespace of its own,
 * and leaves the machine's /sbin as it is.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { cannotMount, guestmemfs } from './support.ts'

test('mount -t guestmemfs, and a line of fstab', { skip: cannotMount }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'helper-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const installed = await guestmemfs('install', '--yes', '--prefix', join(folder, 'root'))
  assert.equal(installed.status, 0, installed.stderr)
  const [mountPoint, fstab] = [join(folder, 'mnt'), join(folder, 'fstab')]
  mkdirSync(mountPoint)
  const pool = `helper-${process.pid}`
  writeFileSync(
    fstab,
    `${pool} ${mountPoint} guestmemfs size=128M,nofail,_netdev,noauto,x-systemd.automount,comment=x,nodev 0 0\n`,
  )
  const command = join(folder, 'root/usr/local/bin/guestmemfs')
  const script = `
    mount -t overlay overlay -o lowerdir=${folder}/root/sbin:${realpathSync('/sbin')} ${realpathSync('/sbin')}
    trap '${command} umount --discard ${pool} >/dev/null 2>&1 || true' EXIT
    mount -t guestmemfs -o size=64M ${pool} ${mountPoint}
    touch ${mountPoint}/guest-ram
    truncate -s 8M ${mountPoint}/guest-ram
    stat -c %s ${mountPoint}/guest-ram
    stat -f -c %b:%S ${mountPoint}
    mount -o remount,size=128M ${mountPoint}
    stat -f -c %b:%S ${mountPoint}
    mount -o remount,size=4M ${mountPoint} 2>&1 && exit 1
    mount -o remount,ro ${mountPoint}
    touch ${mountPoint}/refused 2>/dev/null && exit 1
    mount -t guestmemfs -o remount,rw ${pool} ${mountPoint}
    touch ${mountPoint}/made
    umount ${mountPoint}
    ${command} umount --discard ${pool} >/dev/null
    mount -T ${fstab} ${mountPoint}
    stat -f -c %b:%S ${mountPoint}
    mount -T ${fstab} -o remount,noexec ${mountPoint}
    findmnt -no OPTIONS ${mountPoint}
    mount -t guestmemfs -o size=64M,frobnicate ${pool}-2 ${mountPoint} 2>&1 && exit 1
    umount ${mountPoint}
  `
  const output = execFileSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-ec', script], {
    encoding: 'utf8',
    timeout: 120_000,
  })
  const [size, first, grown, inUse, second, options, refusal] = output.split('\n')
  assert.equal(size, String(8 * 1024 * 1024))
  assert.equal(first, '32:2097152')
  assert.equal(second, '64:2097152')
  assert.equal(grown, '64:2097152')
  assert.match(inUse ?? '', /^guestmemfs: .*cannot have 4M: 8M is the least, for so much is in use$/)
  assert.match(options ?? '', /^rw,nodev,noexec,/)
  assert.match(refusal ?? '', /unknown mount option 'frobnicate'/)
})
