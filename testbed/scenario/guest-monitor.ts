/**
 * Shell commands to a guest's human monitor (a unix socket inside the host), as the operator would type them.
 */

export class GuestMonitor {
  readonly #socket: string

  /** `socket`: where QEMU's `-monitor unix:…,server,nowait` is, inside. */
  constructor(socket: string) {
    this.#socket = socket
  }

  /** Sends `lines`, one after the other; its output is the answers. */
  say(...lines: string[]): string {
    const words = lines.map((line) => `'${line}'`).join(' ')
    return `printf '%s\\n' ${words} | socat -t 5 - UNIX-CONNECT:${this.#socket} | ${AS_TYPED}`
  }

  /** The seed's save: state into `file`, then QEMU ends. */
  save(file: string): string {
    return `
      ${this.say(...CPR_REBOOT, `migrate file:${file}`)}
      ${until(this.#is('postmigrate'))}
      ${this.say('quit')}`
  }

  /** The restore, to a QEMU that was started with `-incoming defer`. The guest then runs by itself. */
  restore(file: string): string {
    return `
      ${until(`[ -S ${this.#socket} ]`)}
      ${this.say(...CPR_REBOOT, `migrate_incoming file:${file}`)}
      ${until(this.#is('VM status: running'))}`
  }

  /** Keeps the monitor's last answer as `$said`. */
  #is(words: string): string {
    return `said=$(${this.say('info status')}); grep -q '${words}' <<<"$said"`
  }
}

/** Before a save, and before a restore. */
export const CPR_REBOOT = [
  'migrate_set_capability x-ignore-shared on',
  'migrate_set_parameter mode cpr-reboot',
]

/** QEMU's line editor echoes each character with the line so far: the last of these is what was typed. */
const AS_TYPED = `sed -u -E 's/^(\\(qemu\\) ).*\\x1b\\[D/\\1/; s/\\x1b\\[K//g; s/\\r//g'`

/** On failure it prints the last answer of the monitor. */
const until = (condition: string): string =>
  `said=
      for try in $(seq 100); do if ${condition}; then break; fi; [ $try -lt 100 ] || { echo "$said"; false; }; sleep 0.1; done`
