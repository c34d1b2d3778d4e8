/** Owns shell commands to a guest's human monitor (a unix socket inside), as a person would type them. */

export class GuestMonitor {
  readonly #socket: string

  /** `socket`: where QEMU's `-monitor unix:…,server,nowait` is, inside. */
  constructor(socket: string) {
    this.#socket = socket
  }

  /** Sends `lines`, one after the other; its output is the answers. */
  say(...lines: string[]): string {
    const words = lines.map((line) => `'${line}'`).join(' ')
    return `printf '%s\\n' ${words} | socat -t 5 - UNIX-CONNECT:${this.#socket}`
  }

  /** The seed's save: state into `file`, then QEMU ends. */
  save(file: string): string {
    return `
      ${this.say(...CPR_REBOOT, `migrate file:${file}`)}
      ${until(`${this.say('info status')} | grep -q postmigrate`)}
      ${this.say('quit')}`
  }

  /** The restore, to a QEMU that was started with `-incoming defer`. The guest then runs by itself. */
  restore(file: string): string {
    return `
      ${until(`[ -S ${this.#socket} ]`)}
      ${this.say(...CPR_REBOOT, `migrate_incoming file:${file}`)}
      ${until(`${this.say('info status')} | grep -q 'VM status: running'`)}`
  }
}

const CPR_REBOOT = ['migrate_set_capability x-ignore-shared on', 'migrate_set_parameter mode cpr-reboot']

const until = (condition: string): string =>
  `for try in $(seq 100); do if ${condition}; then break; fi; [ $try -lt 100 ]; sleep 0.1; done`
