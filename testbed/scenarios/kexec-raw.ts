/**
 * The testbed without the project's code inside: a carve-out, device-dax, a guest on real KVM, a real kexec.
 * Each command is one that an operator could type.
 */
import { seedCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { kexecByHand, restoreSeed, saveSeed, startSeed } from '../scenario/by-hand.ts'
import { mappingOf } from '../scenario/mapping.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'

const FIRST_BYTE = '100000000'
const LAST_BYTE = '107ffffff' // 128 MiB further
const MEBIBYTES = 128
const DEVICE = '/dev/dax0.1'
const STATE_FILE = '/var/lib/guest.sav'

const QEMU = `exec ${seedCommand({ memPath: DEVICE, mebibytes: MEBIBYTES })}`

const CARVE = `
  cd /sys/bus/dax
  region=$(dirname "$(realpath devices/dax0.0)")/dax_region
  [ ! -e devices/dax0.0/driver ] || echo dax0.0 >devices/dax0.0/driver/unbind
  echo 0 >devices/dax0.0/size
  echo 1 >"$region/create"
  echo ${FIRST_BYTE}-${LAST_BYTE} >devices/dax0.1/mapping
  echo dax0.1 >drivers/device_dax/new_id
  test -c ${DEVICE} && cat devices/dax0.1/size`

export const kexecRaw: Scenario = {
  about: 'a KVM guest on a carve-out survives a real kexec, by commands typed by hand',
  tier: 'long',
  memory: '4G',
  append: CARVE_OUT,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, phase, keep, expect } = stage
    const sizeBytes = MEBIBYTES * 2 ** 20
    expect('carved', await phase('carve', () => host.run(CARVE)), String(sizeBytes))

    const pid = await startSeed(stage, QEMU)
    expect('mapped by, KiB', (await mappingOf(host, pid, 'dax0[.]1')).kernelPageKib, 2048)
    await saveSeed(stage, STATE_FILE)
    keep('state file', `${await host.run(`stat -c %s ${STATE_FILE}`)} bytes`)

    await kexecByHand(stage, CARVE)
    await phase('carved at boot', () => host.log('at-boot').waitFor(new RegExp(`^${sizeBytes}$`, 'm')))
    await restoreSeed(stage, QEMU, STATE_FILE)
  },
}
