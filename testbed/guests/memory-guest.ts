/**
 * The memory guest: some hundred bytes that measure their own RAM, again and again, and print
 * `write W chase C` on COM1: time-stamp counter ticks, in units of 1024, for storing to the first WRITE_BYTES
 * word by word, and for CHASES reads at random places of CHASE_BYTES, each of which needs the one before. It
 * runs without paging, so on each TLB miss the processor walks the host's tables alone, and the times show
 * their page sizes.
 */
import { Assembler, EAX, ECX, EDI, EDX, ESI, NOT_ZERO } from './assembler.ts'
import { PATTERN_ADDRESS } from './pattern.ts'
import { emitPrint, emitText } from './serial-output.ts'
import {
  emitMultibootHeader,
  emitStart,
  emitTables,
  emitTimerInterrupt,
  LOAD_ADDRESS,
  leavePageOfCode,
} from './tiny-guest.ts'

export const WRITE_BYTES = 64 * 2 ** 20
export const CHASES = 200_000
const CHASE_BITS = 29
export const CHASE_BYTES = 2 ** CHASE_BITS
/** RAM that it needs. */
export const MEMORY_GUEST_MIB = CHASE_BYTES / 2 ** 20 + 16
/** What a printed number counts. */
export const TICKS = 1024

/** A linear congruential generator modulo 2^32: its high bits are as good as random (Numerical Recipes). */
const [FACTOR, STEP] = [1664525, 1013904223]

/** The guest as a file for `qemu-system-x86_64 -kernel`. */
export function buildMemoryGuest(): Uint8Array {
  const a = new Assembler(LOAD_ADDRESS)
  emitMultibootHeader(a)
  emitStart(a)
  a.disableInterrupts()
  a.label('round')
  emitTimed(a, 'write text', () => {
    a.clear(EAX)
    a.move(EDI, PATTERN_ADDRESS)
    a.move(ECX, WRITE_BYTES / 4)
    a.byte(0xfc, 0xf3, 0xab) // CLD; REP STOSD
  })
  emitTimed(a, 'chase text', () => {
    a.move(ECX, CHASES)
    a.move(ESI, 1)
    a.label('chase')
    a.multiply(EAX, ESI, FACTOR)
    a.add(EAX, STEP)
    a.copy(ESI, EAX)
    a.byte(0xc1, 0xe8, 32 - CHASE_BITS) // SHR EAX
    a.byte(0x83, 0xe0, 0xfc) // AND EAX, ~3
    a.add(EAX, PATTERN_ADDRESS)
    a.byte(0x8b, 0x00) // MOV EAX, [EAX]
    a.addRegister(ESI, EAX) // zero, but the next address must wait for it
    a.decrement(ECX)
    a.jumpIf(NOT_ZERO, 'chase')
  })
  emitText(a, 'line end')
  a.jump('round')
  emitPrint(a)
  emitTimerInterrupt(a)
  emitTables(a)
  leavePageOfCode(a)
  emitData(a)
  return a.finish()
}

/** Prints `text` and how long `work` takes. RDTSC leaves the count in EDX:EAX. */
function emitTimed(a: Assembler, text: string, work: () => void): void {
  a.byte(0x0f, 0x31)
  a.store('since low', EAX)
  a.store('since high', EDX)
  work()
  a.byte(0x0f, 0x31)
  a.byte(0x2b, 0x05) // SUB EAX, [since low]
  a.word('since low')
  a.byte(0x1b, 0x15) // SBB EDX, [since high]
  a.word('since high')
  a.byte(0x0f, 0xac, 0xd0, Math.log2(TICKS)) // SHRD EAX, EDX
  a.push(EAX)
  emitText(a, text)
  a.pop(EAX)
  a.call('print number')
}

function emitData(a: Assembler): void {
  for (const name of ['since low', 'since high', 'timer']) {
    a.label(name)
    a.word(0)
  }
  for (const [name, text] of Object.entries({
    'write text': 'write ',
    'chase text': ' chase ',
    'line end': '\n',
  })) {
    a.label(name)
    a.text(text)
  }
  a.align(4)
  for (let word = 0; word < 64; word++) a.word(0)
  a.label('end of memory') // the stack grows down from here
}
