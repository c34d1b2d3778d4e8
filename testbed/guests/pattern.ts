/**
 * The pattern in a test guest's RAM, and the pass over it that checks and renews each word.
 *
 * A word that differs is compared once more, with what the processor computes anew, and without reading
 * memory again: where it is right then, the processor had computed wrongly, and the word was never wrong. The
 * emulated SVM was seen to do that once in some ten thousand passes (the word held what its pass demands, and
 * the guest reported it as wrong); a lost, zeroed, exchanged or older page is as wrong the second time.
 */
import { type Assembler, EAX, EBP, EBX, ECX, EDI, EDX, ESI, NOT_ZERO, ZERO } from './assembler.ts'
import { emitNumber, emitText } from './serial-output.ts'

export const PATTERN_ADDRESS = 0x200000
/** Odd, so that distinct addresses give distinct words; the second is added for each pass. */
const ADDRESS_FACTOR = 0x9e3779b1
const PASS_STEP = 0x85ebca6b

export function emitFill(a: Assembler, words: number, strideBytes: number, seed: number): void {
  a.move(EDI, PATTERN_ADDRESS)
  a.move(ECX, words)
  a.label('fill')
  a.multiply(EAX, EDI, ADDRESS_FACTOR)
  a.add(EAX, seed)
  a.storeAt(EDI, EAX)
  a.add(EDI, strideBytes)
  a.decrement(ECX)
  a.jumpIf(NOT_ZERO, 'fill')
}

/** One pass: each word must be what the last pass left, and becomes what the next one expects. */
export function emitPass(a: Assembler, words: number, strideBytes: number): void {
  a.label('pass')
  emitSalts(a)
  a.move(EDI, PATTERN_ADDRESS)
  a.move(ECX, words)
  a.label('check')
  a.loadAt(EBX, EDI)
  emitCompare(a)
  a.jumpIf(ZERO, 'right')
  emitSalts(a)
  emitCompare(a)
  a.jumpIf(ZERO, 'computed wrongly')
  a.incrementAt('bad')
  emitKeepFirst(a)
  a.label('right')
  a.addRegister(EDX, EBP)
  a.storeAt(EDI, EDX)
  a.add(EDI, strideBytes)
  a.decrement(ECX)
  a.jumpIf(NOT_ZERO, 'check')
  a.store('salt', EBP)
  a.incrementAt('ticks')
  a.jump('pass is over')
  a.label('computed wrongly')
  a.incrementAt('again')
  a.jump('right')
  a.label('pass is over')
}

/** ESI: of the last pass; EBP: of this one. */
function emitSalts(a: Assembler): void {
  a.load(ESI, 'salt')
  a.copy(EBP, ESI)
  a.add(EBP, PASS_STEP)
}

/** Of the word in EBX, which was at EDI, with what the last pass left there. EDX: the same without a salt. */
function emitCompare(a: Assembler): void {
  a.multiply(EAX, EDI, ADDRESS_FACTOR)
  a.copy(EDX, EAX)
  a.addRegister(EAX, ESI)
  a.compareRegisters(EBX, EAX)
}

/**
 * Keeps address and value of the first wrong word: they show whether a page or a store was lost, and of which
 * pass.
 */
function emitKeepFirst(a: Assembler): void {
  a.byte(0x83, 0x3d) // CMP dword ['bad address'], 0
  a.word('bad address')
  a.byte(0)
  a.jumpIf(NOT_ZERO, 'right')
  a.store('bad address', EDI)
  a.store('bad value', EBX)
}

/** `word A held V`, once, after the line of the tick that first counted it. */
export function emitTellFirst(a: Assembler): void {
  emitOnce(a, { if: 'bad address', told: 'told', end: 'first is told' }, () => {
    emitText(a, 'word text')
    emitNumber(a, 'bad address')
    emitText(a, 'held text')
    emitNumber(a, 'bad value')
  })
}

/** `computed again N`, once, after the line of the tick in which it first did. */
export function emitTellAgain(a: Assembler): void {
  emitOnce(a, { if: 'again', told: 'again told', end: 'again is told' }, () => {
    emitText(a, 'again text')
    emitNumber(a, 'again')
  })
}

function emitOnce(
  a: Assembler,
  names: { if: string; told: string; end: string },
  emitLine: () => void,
): void {
  a.load(EAX, names.if)
  a.test(EAX)
  a.jumpIf(ZERO, names.end)
  a.load(EAX, names.told)
  a.test(EAX)
  a.jumpIf(NOT_ZERO, names.end)
  a.incrementAt(names.told)
  emitLine()
  emitText(a, 'line end')
  a.label(names.end)
}
