/** The test guests' output on COM1: texts and numbers, by polling. */
import { type Assembler, EAX, ECX, EDX, ESI, ZERO } from './assembler.ts'

const COM1 = 0x3f8
const COM1_LINE_STATUS = 0x3fd
const TRANSMIT_READY = 0x20

export function emitText(a: Assembler, label: string): void {
  a.move(ESI, label)
  a.call('print text')
}

export function emitNumber(a: Assembler, variable: string): void {
  a.load(EAX, variable)
  a.call('print number')
}

/** What `emitText` and `emitNumber` call. */
export function emitPrint(a: Assembler): void {
  a.label('print text') // ESI: text, ended by 0
  a.loadByteAt(EAX, ESI)
  a.test(EAX)
  a.jumpIf(ZERO, 'printed')
  a.call('print character')
  a.increment(ESI)
  a.jump('print text')
  a.label('printed')
  a.return()

  a.label('print number') // EAX; digits come last first, so each call keeps one and prints it on the way back
  a.clear(EDX)
  a.move(ECX, 10)
  a.divide(ECX)
  a.push(EDX)
  a.test(EAX)
  a.jumpIf(ZERO, 'first digit')
  a.call('print number')
  a.label('first digit')
  a.pop(EAX)
  a.add(EAX, '0'.charCodeAt(0))

  a.label('print character') // AL
  a.push(EAX)
  a.move(EDX, COM1_LINE_STATUS)
  a.label('busy')
  a.in()
  a.testLowByte(TRANSMIT_READY)
  a.jumpIf(ZERO, 'busy')
  a.pop(EAX)
  a.move(EDX, COM1)
  a.out()
  a.return()
}
