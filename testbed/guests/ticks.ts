/** Reads a test guest's serial output: `tick N bad M` lines, and whether they are of one unbroken run. */

export interface Tick {
  /** Passes over the guest's memory so far; the guest counts from 1. */
  readonly number: number
  /** Words that were wrong, in all passes so far. */
  readonly bad: number
}

/** A guest that is reset while it prints a line begins its next one in that line. */
const LINE = /tick (\d+) bad (\d+)\r?$/

/** Every whole tick line of `text`, in order. A last line without its line end is not whole yet. */
export function readTicks(text: string): Tick[] {
  const ticks: Tick[] = []
  for (const line of text.split('\n').slice(0, -1)) {
    const match = LINE.exec(line)
    if (match !== null) ticks.push({ number: Number(match[1]), bad: Number(match[2]) })
  }
  return ticks
}

/**
 * The first fault in a guest's ticks, or undefined: numbers go up by one from 1 (a smaller one means the
 * guest was started over), and no word was ever bad.
 */
export function findBreak(ticks: readonly Tick[]): string | undefined {
  let expected = 1
  for (const { number, bad } of ticks) {
    if (number !== expected) return `tick ${number} where tick ${expected} was due`
    if (bad !== 0) return `${bad} bad words at tick ${number}`
    expected++
  }
  return undefined
}

const WORD = /^word (\d+) held (\d+)\r?$/m

/**
 * The first word that a guest found wrong, as ` (the word at 0x400000 held 0x04030201)`; empty where it has
 * printed none.
 */
export function firstBadWord(text: string): string {
  const [, address, value] = WORD.exec(text) ?? []
  if (address === undefined) return ''
  const hex = (digits: string | undefined): string => `0x${Number(digits).toString(16).padStart(8, '0')}`
  return ` (the word at ${hex(address)} held ${hex(value)})`
}
