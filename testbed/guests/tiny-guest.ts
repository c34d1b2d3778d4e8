/**
 * The tiny guest: two pages that show whether a guest's memory and its running state are intact after an
 * update. It fills `mebibytes` of RAM with a pattern, then goes over all of it again and again, and after
 * each pass prints `tick N bad M` on COM1: N passes, M wrong words (in all passes); and once, for the first
 * of these, `word A held V`: its address and value.
 *
 * The pattern mixes each word's address with the number of the pass: a page in another page's place is seen,
 * and so is a page that came back in an older state, because each pass rewrites what it checked. The timer
 * interrupt paces the passes and the CPU halts between them, so the guest takes little processor time and
 * shows that interrupts still arrive.
 *
 * Must not depend on anything but a PC: multiboot (`-kernel`), PIC, PIT, COM1. Needs -M pc or q35.
 */
import { writeFileSync } from 'node:fs'
import { PTE_BYTES } from '../../src/values/units.ts'
import { Assembler, CARRY, EAX, EDX, ESP, NOT_ZERO } from './assembler.ts'
import { emitEjectMemory } from './eject-memory.ts'
import { emitFill, emitPass, emitTellAgain, emitTellFirst } from './pattern.ts'
import { emitNumber, emitPrint, emitText } from './serial-output.ts'

export interface TinyGuest {
  /**
   * RAM under the pattern, from 2 MiB up; the guest needs about 4 MiB more. At most 2044: below the PCI hole.
   */
  readonly mebibytes: number
  /** Two guests with different seeds have no page in common. */
  readonly seed?: number
  /**
   * Distance between checked words. 4 checks every byte; 4096 touches every page of a large guest quickly.
   */
  readonly strideBytes?: number
  /**
   * At least this many twentieths of a second from one line to the next. Default 2: ten lines a second at
   * most.
   */
  readonly pace?: number
  /**
   * The tick after which the guest suspends itself (ACPI S3), for good: it has no place to wake up at.
   * Default: none.
   */
  readonly suspendAfter?: number
  /** Slots whose DIMMs the guest releases when QEMU asks it to. Default 0: it answers no such request. */
  readonly memorySlots?: number
}

export const LOAD_ADDRESS = 0x100000
const MULTIBOOT_MAGIC = 0x1badb002
/** The header holds load addresses (bit 16), so that no ELF file is needed. */
const MULTIBOOT_FLAGS = 0x10000
const CODE_SELECTOR = 8
const DATA_SELECTOR = 16
const TIMER_VECTOR = 32
/** 1,193,182 Hz / 59,659 = 20 Hz. */
const PIT_DIVISOR = 59659
const PM1A_CNT = 0x604
const SLEEP = (1 << 13) | (1 << 10)

/** The guest as a file for `qemu-system-x86_64 -kernel`. */
export function buildTinyGuest(guest: TinyGuest): Uint8Array {
  const { mebibytes, seed = 1, strideBytes = 4, pace = 2, memorySlots = 0, suspendAfter } = guest
  if (!(mebibytes >= 1 && mebibytes <= 2044))
    throw new RangeError(`${mebibytes} MiB: 1 to 2044 can be checked`)
  if (!(strideBytes >= 4 && strideBytes % 4 === 0))
    throw new RangeError(`stride ${strideBytes}: multiples of 4`)
  const words = Math.floor((mebibytes * 1024 * 1024) / strideBytes)

  const a = new Assembler(LOAD_ADDRESS)
  emitMultibootHeader(a)
  emitStart(a)
  emitFill(a, words, strideBytes, seed)
  emitPass(a, words, strideBytes)
  emitEjectMemory(a, memorySlots)
  emitReport(a, pace, suspendAfter)
  emitPrint(a)
  emitTimerInterrupt(a)
  emitTables(a)
  leavePageOfCode(a)
  emitVariables(a, seed)
  return a.finish()
}

/**
 * What a guest of `buildTinyGuest` never writes of its image, loaded at LOAD_ADDRESS: the page of its code
 * and its tables. Its variables and its stack follow.
 */
export function codeOf(image: Uint8Array): Buffer {
  const a = new Assembler(0)
  emitVariables(a, 0)
  return Buffer.from(image.subarray(0, image.length - a.finish().length))
}

/** One guest for each name: no two have a page in common. */
export function buildTinyGuests(
  names: readonly string[],
  guest: Omit<TinyGuest, 'seed'>,
): Record<string, Uint8Array> {
  return Object.fromEntries(names.map((name, index) => [name, buildTinyGuest({ ...guest, seed: index + 1 })]))
}

/**
 * Variables and the stack are in a page of their own. A processor that stores into the page that it executes
 * has TCG end the translated block in its middle at each store: the most delicate thing that it does, and no
 * guest needs it.
 */
export function leavePageOfCode(a: Assembler): void {
  a.align(PTE_BYTES)
}

export function emitMultibootHeader(a: Assembler): void {
  a.word(MULTIBOOT_MAGIC)
  a.word(MULTIBOOT_FLAGS)
  a.word(-(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS))
  a.word(LOAD_ADDRESS) // where the header itself is
  a.word(LOAD_ADDRESS) // start of what is loaded
  a.word(0) // end of it: the whole file
  a.word('end of memory') // what must be zero beyond it
  a.word('start')
}

/**
 * The loader starts the guest in flat 32-bit mode, but its descriptor table must not be used once interrupts
 * arrive.
 */
export function emitStart(a: Assembler): void {
  a.label('start')
  a.disableInterrupts()
  a.loadGdt('gdt pointer')
  a.farJump(CODE_SELECTOR, 'own segments')
  a.label('own segments')
  a.move(EAX, DATA_SELECTOR)
  a.loadDataSegments()
  a.move(ESP, 'end of memory')
  a.loadIdt('idt pointer')
  const [command, data, slaveData] = [0x20, 0x21, 0xa1]
  a.outByte(command, 0x11) // PIC: initialise; vectors from TIMER_VECTOR on; slave on line 2; 8086 mode
  a.outByte(data, TIMER_VECTOR)
  a.outByte(data, 4)
  a.outByte(data, 1)
  a.outByte(data, 0xfe) // the timer alone
  a.outByte(slaveData, 0xff)
  a.outByte(0x43, 0x34) // PIT channel 0: low and high byte, rate generator
  a.outByte(0x40, PIT_DIVISOR)
  a.outByte(0x40, PIT_DIVISOR >>> 8)
  a.enableInterrupts()
}

function emitReport(a: Assembler, pace: number, suspendAfter: number | undefined): void {
  emitText(a, 'tick text')
  emitNumber(a, 'ticks')
  emitText(a, 'bad text')
  emitNumber(a, 'bad')
  emitText(a, 'line end')
  emitTellFirst(a)
  emitTellAgain(a)
  if (suspendAfter !== undefined) emitSuspend(a, suspendAfter)
  a.label('wait')
  a.load(EAX, 'timer')
  a.compare(EAX, pace)
  a.jumpIf(CARRY, 'wait longer')
  a.clear(EAX)
  a.store('timer', EAX)
  a.jump('pass')
  a.label('wait longer')
  a.halt() // an interrupt just before it only costs one more period
  a.jump('wait')
}

/**
 * Writes SLP_TYP 1 with SLP_EN to PM1a_CNT (ACPI specification 4.8.4.2.1), at the place that SeaBIOS gives it
 * on a q35. QEMU stops the processor a moment later.
 */
function emitSuspend(a: Assembler, afterTicks: number): void {
  a.load(EAX, 'ticks')
  a.compare(EAX, afterTicks)
  a.jumpIf(NOT_ZERO, 'not suspended')
  a.disableInterrupts()
  a.move(EDX, PM1A_CNT)
  a.move(EAX, SLEEP)
  a.byte(0x66, 0xef) // OUT DX, AX
  a.label('suspended')
  a.halt()
  a.jump('suspended')
  a.label('not suspended')
}

export function emitTimerInterrupt(a: Assembler): void {
  a.label('timer interrupt')
  a.push(EAX)
  a.incrementAt('timer')
  a.outByte(0x20, 0x20) // end of interrupt
  a.pop(EAX)
  a.returnFromInterrupt()
}

export function emitTables(a: Assembler): void {
  a.align(8)
  a.label('gdt')
  a.word(0)
  a.word(0)
  // Flat 4 GiB, and accessed already, so that the processor never writes to the table (Intel SDM 3, 3.4.5.1).
  a.word(0x0000ffff)
  a.word(0x00cf9b00) // code
  a.word(0x0000ffff)
  a.word(0x00cf9300) // data
  a.label('gdt pointer')
  a.half(3 * 8 - 1)
  a.word('gdt')
  a.align(8)
  a.label('idt pointer')
  a.half((TIMER_VECTOR + 1) * 8 - 1)
  a.word('idt')
  a.align(8)
  a.label('idt')
  for (let vector = 0; vector < TIMER_VECTOR; vector++) {
    a.word(0) // not present: an exception is a triple fault, on which QEMU resets the guest
    a.word(0)
  }
  a.interruptGate(CODE_SELECTOR, 'timer interrupt')
}

function emitVariables(a: Assembler, seed: number): void {
  a.label('ticks')
  a.word(0)
  a.label('bad')
  a.word(0)
  a.label('timer')
  a.word(0)
  for (const name of ['bad address', 'bad value', 'told', 'again', 'again told']) {
    a.label(name)
    a.word(0)
  }
  a.label('salt')
  a.word(seed)
  const texts = { tick: 'tick ', bad: ' bad ', word: 'word ', held: ' held ', again: 'computed again ' }
  for (const [name, text] of Object.entries({ ...texts, 'line end': '\n' })) {
    a.label(name === 'line end' ? name : `${name} text`)
    a.text(text)
  }
  a.align(4)
  for (let word = 0; word < 64; word++) a.word(0)
  a.label('end of memory') // the stack grows down from here
}

/** `node testbed/guests/tiny-guest.ts FILE MEBIBYTES [STRIDE_BYTES]` */
if (import.meta.main) {
  const [file, mebibytes, strideBytes] = process.argv.slice(2)
  if (file === undefined || mebibytes === undefined)
    throw new Error('usage: tiny-guest.ts FILE MEBIBYTES [STRIDE_BYTES]')
  writeFileSync(file, buildTinyGuest({ mebibytes: Number(mebibytes), strideBytes: Number(strideBytes ?? 4) }))
}
