/**
 * The peer: what an expert types to take guests through a kexec, for these guests and no others. Each guest's
 * RAM is a part of one dax device, its state a file on the root disk. The steps are as short as shell makes
 * them: all guests at once, one connection to each monitor, no wait that is not needed.
 */
import { guestCommand } from '../../testbed/guests/qemu.ts'
import { JUMP } from '../../testbed/scenario/by-hand.ts'
import { CPR_REBOOT } from '../../testbed/scenario/guest-monitor.ts'

/** One guest, as both sides start it. */
export interface BenchGuest {
  readonly name: string
  readonly mebibytes: number
  /** The first has KVM; several with KVM at once meet faults of the emulator. */
  readonly accelerator: 'kvm' | 'tcg'
}

/** The second carve-out: the pool has the first. */
const DEVICE = '/dev/dax1.0'
const STATES = '/var/lib/by-hand'
/** As `daxctl reconfigure-device --mode=devdax` does; where it is bound already the kernel refuses it. */
const BIND = 'echo dax1.0 >/sys/bus/dax/drivers/device_dax/new_id 2>/dev/null || true'
const SET = CPR_REBOOT.map((line) => `'${line}'`).join(' ')

const monitorOf = (name: string): string => `/run/${name}.monitor`

/** `offset`: of the guest's RAM in the device. */
function lineOf({ name, mebibytes, accelerator }: BenchGuest, offset: number): string {
  return guestCommand({
    name,
    mebibytes,
    accelerator,
    kernel: 'tiny-guest',
    ram: `${DEVICE},align=2M,offset=${offset}M`,
    words: `-monitor unix:${monitorOf(name)},server,nowait`,
  })
}

const lines = (guests: readonly BenchGuest[]): string[] =>
  guests.map((guest, index) => lineOf(guest, index * guest.mebibytes))

export const startByHand = (guests: readonly BenchGuest[]): string =>
  [BIND, ...lines(guests).map((line) => `setsid ${line} </dev/null >>/run/testbed/logs/by-hand 2>&1 &`)].join(
    '\n',
  )

/** Saves all guests and enters the kernel that is loaded. */
export function jumpByHand(guests: readonly BenchGuest[]): string {
  const save = guests.map(
    ({ name }) =>
      `printf '%s\\n' ${SET} 'migrate file:${STATES}/${name}' quit | socat -t 60 - UNIX-CONNECT:${monitorOf(name)} >/dev/null &`,
  )
  return [`mkdir -p ${STATES}`, ...save, 'wait', JUMP].join('\n')
}

/**
 * In the next kernel: returns when every QEMU is started. Each reads its orders from its standard input, so
 * that nothing waits for its socket; the guest runs when it is loaded.
 */
export const restoreByHand = (guests: readonly BenchGuest[]): string =>
  [
    BIND,
    ...lines(guests).map(
      (line, index) =>
        `printf '%s\\n' ${SET} 'migrate_incoming file:${STATES}/${guests[index]?.name}' | setsid ${line} -monitor stdio -incoming defer >>/run/testbed/logs/by-hand 2>&1 &`,
    ),
  ].join('\n')

/** Ends the guests. */
export const endByHand = (guests: readonly BenchGuest[]): string =>
  `pkill -KILL qemu-system; rm -f ${guests.map(({ name }) => `${STATES}/${name}`).join(' ')}`
