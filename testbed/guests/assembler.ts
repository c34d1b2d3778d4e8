/**
 * A very small x86 assembler: the 32-bit instructions of the test guests, and labels. Must not: depend on the
 * program. Encodings are from the Intel SDM, volume 2.
 */

/**
 * Register numbers as the encodings have them. ESP and EBP are no `Base`: there they need other encodings.
 */
export const EAX = 0
export const ECX = 1
export const EDX = 2
export const EBX = 3
export const ESP = 4
export const EBP = 5
export const ESI = 6
export const EDI = 7
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7
type Base = 0 | 1 | 2 | 3 | 6 | 7

/** Condition codes of `jump`: the low nibble of Jcc. */
export const CARRY = 2
export const ZERO = 4
export const NOT_ZERO = 5
export type Condition = 2 | 4 | 5

/** A value of 32 bits, or the address of a label. */
export type Word = number | string

interface Fixup {
  readonly at: number
  readonly label: string
  /** Relative: counted from the end of the field, as CALL and Jcc take it. */
  readonly relative: boolean
}

export class Assembler {
  readonly #origin: number
  readonly #bytes: number[] = []
  readonly #labels = new Map<string, number>()
  readonly #fixups: Fixup[] = []

  /** `origin`: the address the first byte is loaded at. */
  constructor(origin: number) {
    this.#origin = origin
  }

  label(name: string): void {
    if (this.#labels.has(name)) throw new Error(`label ${name} is defined twice`)
    this.#labels.set(name, this.#origin + this.#bytes.length)
  }

  /** Raw bytes. */
  byte(...values: number[]): void {
    for (const value of values) this.#bytes.push(value & 0xff)
  }
  half(value: number): void {
    this.byte(value, value >>> 8)
  }
  word(value: Word): void {
    if (typeof value === 'string') this.#fix(value, false)
    else this.byte(value, value >>> 8, value >>> 16, value >>> 24)
  }
  text(text: string): void {
    this.byte(...Buffer.from(`${text}\0`, 'latin1'))
  }
  align(to: number): void {
    while (this.#bytes.length % to !== 0) this.byte(0)
  }

  /** All bytes, with every label resolved. */
  finish(): Uint8Array {
    const image = Uint8Array.from(this.#bytes)
    const view = new DataView(image.buffer)
    for (const { at, label, relative } of this.#fixups) {
      const address = this.#labels.get(label)
      if (address === undefined) throw new Error(`label ${label} is not defined`)
      view.setUint32(at, relative ? address - (this.#origin + at + 4) : address, true)
    }
    return image
  }

  move(to: Register, value: Word): void {
    this.byte(0xb8 + to)
    this.word(value)
  }
  copy(to: Register, from: Register): void {
    this.#modrm(0x89, 3, from, to)
  }
  load(to: Register, address: Word): void {
    this.#modrm(0x8b, 0, to, 5)
    this.word(address)
  }
  store(address: Word, from: Register): void {
    this.#modrm(0x89, 0, from, 5)
    this.word(address)
  }
  storeAt(base: Base, from: Register): void {
    this.#modrm(0x89, 0, from, base)
  }
  loadAt(to: Register, base: Base): void {
    this.#modrm(0x8b, 0, to, base)
  }
  compareRegisters(left: Register, right: Register): void {
    this.#modrm(0x39, 3, right, left)
  }
  /** Loads the byte at `base` into the low byte of `to`, the rest zero. */
  loadByteAt(to: Register, base: Base): void {
    this.byte(0x0f)
    this.#modrm(0xb6, 0, to, base)
  }
  compare(left: Register, value: number): void {
    this.#modrm(0x81, 3, 7, left)
    this.word(value)
  }
  add(to: Register, value: number): void {
    this.#modrm(0x81, 3, 0, to)
    this.word(value)
  }
  addRegister(to: Register, from: Register): void {
    this.#modrm(0x01, 3, from, to)
  }
  clear(register: Register): void {
    this.#modrm(0x31, 3, register, register)
  }
  /** Sets the zero flag when `register` is 0. */
  test(register: Register): void {
    this.#modrm(0x85, 3, register, register)
  }
  testLowByte(mask: number): void {
    this.byte(0xa8, mask)
  }
  increment(register: Register): void {
    this.byte(0x40 + register)
  }
  decrement(register: Register): void {
    this.byte(0x48 + register)
  }
  incrementAt(address: Word): void {
    this.#modrm(0xff, 0, 0, 5)
    this.word(address)
  }
  multiply(to: Register, from: Register, value: number): void {
    this.#modrm(0x69, 3, to, from)
    this.word(value)
  }
  /** EDX:EAX / divisor: quotient in EAX, remainder in EDX. */
  divide(divisor: Register): void {
    this.#modrm(0xf7, 3, 6, divisor)
  }
  push(register: Register): void {
    this.byte(0x50 + register)
  }
  pop(register: Register): void {
    this.byte(0x58 + register)
  }

  jump(label: string): void {
    this.byte(0xe9)
    this.#fix(label, true)
  }
  jumpIf(condition: Condition, label: string): void {
    this.byte(0x0f, 0x80 + condition)
    this.#fix(label, true)
  }
  call(label: string): void {
    this.byte(0xe8)
    this.#fix(label, true)
  }
  return(): void {
    this.byte(0xc3)
  }
  farJump(selector: number, label: string): void {
    this.byte(0xea)
    this.#fix(label, false)
    this.half(selector)
  }

  /** Port of DX, value in AL. */
  out(): void {
    this.byte(0xee)
  }
  /** Port of DX, value in EAX. */
  outWord(): void {
    this.byte(0xef)
  }
  in(): void {
    this.byte(0xec)
  }
  /** Writes one constant byte to a port below 256. Changes AL. */
  outByte(port: number, value: number): void {
    this.byte(0xb0, value, 0xe6, port)
  }

  loadGdt(label: string): void {
    this.byte(0x0f)
    this.#modrm(0x01, 0, 2, 5)
    this.word(label)
  }
  loadIdt(label: string): void {
    this.byte(0x0f)
    this.#modrm(0x01, 0, 3, 5)
    this.word(label)
  }
  /** Loads DS, ES and SS from AX. */
  loadDataSegments(): void {
    for (const segment of [3, 0, 2]) this.#modrm(0x8e, 3, segment, EAX)
  }
  /** An 8-byte IDT entry. The handler's address is split in two, so the label must be defined before. */
  interruptGate(selector: number, label: string): void {
    const address = this.#labels.get(label)
    if (address === undefined) throw new Error(`label ${label} must be defined before its gate`)
    this.half(address)
    this.half(selector)
    this.half(0x8e00)
    this.half(address >>> 16)
  }
  enableInterrupts(): void {
    this.byte(0xfb)
  }
  disableInterrupts(): void {
    this.byte(0xfa)
  }
  halt(): void {
    this.byte(0xf4)
  }
  returnFromInterrupt(): void {
    this.byte(0xcf)
  }

  #modrm(opcode: number, mode: number, register: number, operand: number): void {
    this.byte(opcode, (mode << 6) | (register << 3) | operand)
  }
  #fix(label: string, relative: boolean): void {
    this.#fixups.push({ at: this.#bytes.length, label, relative })
    this.byte(0, 0, 0, 0)
  }
}
