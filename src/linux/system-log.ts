/**
 * Single lines in the machine's log: the journal, syslog where there is none, else the kernel's log. Must
 * not: wait: a log daemon that does not read must not delay a live update. Formats: "Native Journal Protocol"
 * of systemd, RFC 3164 as syslog(3) writes it.
 */
import { readFileSync } from 'node:fs'
import { Errno } from '../values/errno.ts'
import { close } from './descriptors.ts'
import { writeKernelLog } from './kmsg.ts'
import { errnoOfNodeError } from './library.ts'
import { connectDatagram, sendMessageNow } from './sockets.ts'

/** The path of each socket; tests have others. */
export interface LogSockets {
  readonly journal: string
  readonly syslog: string
}
const SOCKETS: LogSockets = { journal: '/run/systemd/journal/socket', syslog: '/dev/log' }

const NAME = 'guestmemfs'
const NOTICE = 5
/** Messages of security and authorisation, which are kept from users. */
const AUTHPRIV = 10

/**
 * `message`: one line. `fields`: names in capitals, each with one line; only the journal keeps them. Returns
 * which log took it; an errno where none did.
 */
export function writeJournal(
  message: string,
  fields: Readonly<Record<string, string>>,
  sockets: LogSockets = SOCKETS,
): 'journal' | 'syslog' | 'kernel' | Errno {
  const all = { MESSAGE: message, PRIORITY: NOTICE, SYSLOG_FACILITY: AUTHPRIV, SYSLOG_IDENTIFIER: NAME }
  const entry = Object.entries({ ...all, ...fields }).map(([name, value]) => `${name}=${oneLine(value)}\n`)
  if (sendTo(sockets.journal, entry.join('')) === undefined) return 'journal'
  const line = `<${AUTHPRIV * 8 + NOTICE}>${NAME}[${process.pid}]: ${oneLine(message)}`
  if (sendTo(sockets.syslog, line) === undefined) return 'syslog'
  return writeKernelLog(oneLine(message)) ?? 'kernel'
}

/** A newline would begin another entry, which the value's author could forge. */
const oneLine = (value: string | number): string => String(value).replaceAll('\n', ' ')

function sendTo(socket: string, text: string): Errno | undefined {
  const fd = connectDatagram(socket)
  if (fd instanceof Errno) return fd
  try {
    return sendMessageNow(fd, Buffer.from(text))
  } finally {
    close(fd)
  }
}

/** (uid_t)-1 */
const NO_LOGIN = 4_294_967_295

/**
 * The user whose login led to this process, also behind su or sudo. undefined: no login did (a service), or
 * the kernel does not audit.
 */
export function loginUid(path = '/proc/self/loginuid'): number | undefined {
  try {
    const uid = Number(readFileSync(path, 'utf8'))
    return uid === NO_LOGIN ? undefined : uid
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  }
}
