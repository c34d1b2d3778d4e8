/**
 * The messages between a scenario (outside) and the agent (inside): JSON objects, one a line, over a
 * virtio-serial port. Types alone, so that the agent is one file. The port stays open over a kexec; the next
 * agent sends a hello.
 */
export const PORT_NAME = 'org.guestmemfs.testbed'

export type Request = { readonly id: number } & (
  | { readonly type: 'run'; readonly script: string; readonly timeoutMs: number }
  /** Runs beside other requests; its output goes to the log `name`, its standard error to `name.err`. */
  | { readonly type: 'start'; readonly name: string; readonly script: string }
)

export type Message =
  /**
   * The agent of a new kernel, of boot `bootId`, is there. `kvm`: where its modules for KVM lie, lines of
   * /proc/modules.
   */
  | {
      readonly type: 'hello'
      readonly bootId: string
      readonly release: string
      readonly uptimeMs: number
      readonly kvm: readonly string[]
    }
  /**
   * A QEMU was started, `ageMs` ago; sent again when it is seen to write more logs. `key`: of this one
   * process; it begins with the boot's id and a space. `logs`: names of the logs that it has open or names on
   * its command line. `hasOwnRam`: not in a file of a pool or of a device. `isIncoming`: it was started to
   * wait for a guest.
   */
  | {
      readonly type: 'qemu'
      readonly key: string
      readonly pid: number
      readonly ageMs: number
      readonly logs: readonly string[]
      readonly hasOwnRam: boolean
      readonly isIncoming: boolean
    }
  | {
      readonly type: 'ran'
      readonly id: number
      readonly code: number | null
      readonly stdout: string
      readonly stderr: string
    }
  | { readonly type: 'started'; readonly id: number; readonly pid: number }
  | {
      readonly type: 'ended'
      readonly name: string
      readonly pid: number
      readonly code: number | null
      readonly signal: string | null
    }
  /**
   * Bytes (latin1) of the log `name`, from `offset` of its file on. An agent that is not the first one of its
   * kernel begins at 0 again.
   */
  | { readonly type: 'log'; readonly name: string; readonly offset: number; readonly text: string }
