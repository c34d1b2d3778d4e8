/**
 * Stands between the QMP socket of a VM and its QEMU, and does one wrong thing at one message:
 * `relay-faults.ts FAULT-FILE SOCKET ROLE` accepts connections on descriptor 3, passes them to SOCKET, reads
 * FAULT-FILE at each connection, and appends each message that it meets to FAULT-FILE.met. It ends with the
 * process that started it, which becomes QEMU.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Fault } from './faulty-qemu.ts'

const MONITOR_FD = 3
const FLOOD_EVENTS = 3000
const [faultFile = '', path = ''] = process.argv.slice(2)
/** `next`: it waits for a guest, as long as it was not told to continue one. */
let role = process.argv[4]
const qemu = process.ppid
let round = -1
let connections = 0

/** What one connection may have of its own. */
interface Meeting {
  readonly fault: Fault | undefined
  readonly meet: (command: string) => void
}

function meetingOfNow(): Meeting {
  const fault = faultOfNow()
  const [its, at] = [role, connections]
  const meet = (command: string): void =>
    appendFileSync(`${faultFile}.met`, `${round} ${its} ${at} ${command}\n`)
  return { fault, meet }
}

function faultOfNow(): Fault | undefined {
  let fault: Fault | undefined
  try {
    fault = JSON.parse(readFileSync(faultFile, 'utf8')) as Fault
  } catch {
    return undefined
  }
  if (fault.round !== round) [round, connections] = [fault.round, 0]
  connections++
  return fault.role === role && fault.connection === connections ? fault : undefined
}

interface Message {
  readonly execute?: string
  readonly id?: number
  readonly event?: string
  readonly QMP?: object
}

const line = (value: object): string => `${JSON.stringify(value)}\r\n`

function relay(client: Socket, socket: Socket, { fault, meet }: Meeting): void {
  let isStalled = false
  let seen = 0
  let hitId: number | undefined
  const say = (text: string): void => void (isStalled || client.write(text))
  const flood = (): void => {
    const timestamp = { seconds: 1, microseconds: 0 }
    say(line({ event: 'RTC_CHANGE', data: { offset: 1 }, timestamp }).repeat(FLOOD_EVENTS))
  }
  /** Instead of QEMU's answer, or beside it. */
  const spoil = (text: string, id: number | undefined): void => {
    switch (fault?.how) {
      case 'lie':
        say(id === undefined ? 'login:\n' : line({ return: 'a lie', id }))
        break
      case 'claim':
        say(line(id === undefined ? (fault.claim ?? {}) : { return: fault.claim ?? {}, id }))
        break
      case 'stall':
        isStalled = true
        break
      case 'close':
        client.destroy()
        break
      case 'endless':
        say('x'.repeat(5 << 20))
        break
      case 'flood':
        flood()
        say(text)
        flood()
        break
      default:
        say(text)
    }
  }
  const isHit = (command: string): boolean => fault?.command === command && ++seen === (fault.nth ?? 1)

  // readline passes the errors of its input on, which have their own listener.
  const linesOf = (input: Socket) => createInterface({ input }).on('error', () => {})
  linesOf(socket).on('line', (text) => {
    const { id, event, QMP } = JSON.parse(text) as Message
    if (event !== undefined && fault?.how === 'drop' && fault.command === event) return
    if (QMP !== undefined) meet('greeting')
    if (QMP !== undefined && isHit('greeting')) spoil(`${text}\r\n`, undefined)
    else if (id !== undefined && id === hitId) spoil(`${text}\r\n`, id)
    else say(`${text}\r\n`)
  })
  linesOf(client).on('line', (text) => {
    const { execute = '', id } = JSON.parse(text) as Message
    if (execute === 'cont') role = 'old'
    meet(execute)
    const isMet = isHit(execute)
    if (isMet && fault?.how === 'pretend') say(line({ return: {}, id }))
    else if (isMet && fault?.how === 'refuse')
      say(line({ error: { class: 'GenericError', desc: 'not today' }, id }))
    else {
      if (isMet) hitId = id
      const delayMs = fault?.how === 'delay' ? 300 : 0
      if (delayMs === 0) socket.write(`${text}\n`)
      else setTimeout(() => socket.write(`${text}\n`), delayMs)
    }
  })
}

/** QEMU may not listen yet. */
function reach(client: Socket, meeting: Meeting): void {
  const socket = connect(path)
  let isThere = false
  socket.on('connect', () => {
    isThere = true
    relay(client, socket, meeting)
  })
  socket.on('error', () => {
    if (isThere) client.destroy()
    else setTimeout(reach, 20, client, meeting)
  })
  socket.on('close', () => isThere && client.destroy())
  client.on('close', () => socket.destroy())
}

createServer((client) => {
  client.on('error', () => {})
  reach(client, meetingOfNow())
}).listen({ fd: MONITOR_FD })
setInterval(() => process.ppid !== qemu && process.exit(), 50)
