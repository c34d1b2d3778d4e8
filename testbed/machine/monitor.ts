/** Owns one question to QEMU's human monitor over its socket, and its answer. Knows no command. */
import { connect } from 'node:net'

/** What the monitor says when it is ready for a command. Its line editor colours nothing, but echoes what is typed. */
const PROMPT = '(qemu) '
/** Moving the cursor and clearing to the end of the line, with which the echo is drawn. */
const CONTROL = new RegExp(`${String.fromCharCode(27)}\\[[0-9]*[A-Z]`, 'g')

/** The answer's lines, without the echo. One question at a time. */
export function askMonitor(path: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const parts: string[] = []
    let tail = ''
    let isAsked = false
    socket.setEncoding('latin1')
    socket.once('error', reject)
    const closed = () => reject(new Error(`the monitor closed before it answered to: ${command}`))
    socket.once('close', closed)
    socket.on('data', (text: string) => {
      parts.push(text)
      tail = (tail + text).slice(-PROMPT.length - 1)
      // While a command is typed the prompt is drawn again and again, but on the same line.
      if (tail !== `\n${PROMPT}`) return
      if (isAsked) {
        socket.removeListener('close', closed)
        socket.destroy()
        return resolve(withoutEcho(parts.join('')))
      }
      isAsked = true
      parts.length = 0
      tail = ''
      socket.write(`${command}\n`)
    })
  })
}

function withoutEcho(answer: string): string {
  const lines = answer.replaceAll(CONTROL, '').split(/\r?\n/)
  return lines.slice(1, -1).join('\n')
}
