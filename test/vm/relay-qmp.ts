/**
 * Stands between the QMP socket of a VM and its QEMU, whose clock it shows as another:
 * `relay-qmp.ts SECONDS SOCKET` accepts connections on descriptor 3, passes them to SOCKET, and adds SECONDS
 * to the time of each event. It ends with the process that started it, which becomes QEMU.
 */
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

const MONITOR_FD = 3
const [seconds = '0', path = ''] = process.argv.slice(2)
const qemu = process.ppid

const skewed = (line: string): string =>
  line.replace(
    /("timestamp": *\{"seconds": *)(\d+)/,
    (_, key, time) => key + (Number(time) + Number(seconds)),
  )

/** QEMU may not listen yet. */
function reach(client: Socket): void {
  const socket = connect(path)
  let isThere = false
  socket.on('connect', () => {
    isThere = true
    client.pipe(socket)
    createInterface({ input: socket }).on('line', (line) => client.write(`${skewed(line)}\r\n`))
  })
  socket.on('error', () => {
    if (isThere) client.destroy()
    else setTimeout(reach, 20, client)
  })
  socket.on('close', () => isThere && client.destroy())
  client.on('close', () => socket.destroy())
}

createServer((client) => {
  client.on('error', () => {})
  reach(client)
}).listen({ fd: MONITOR_FD })
setInterval(() => process.ppid !== qemu && process.exit(), 50)
