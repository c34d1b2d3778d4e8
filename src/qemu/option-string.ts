/**
 * QEMU's `key=value,key=value` syntax, in which a comma inside a value is written twice. Order and spelling
 * are kept, so that what is not changed is printed as it was typed. Must not: interpret an option. Source:
 * QEMU `util/keyval.c` and `util/qemu-option.c`.
 */

export interface Pair {
  /** Empty: a first value whose key the option implies, as `q35` in `-machine q35,…`. */
  readonly key: string
  /** Undefined: a bare word after the first, as `server` in `unix:/x,server`: a switch turned on. */
  readonly value: string | undefined
}

export type OptionString = readonly Pair[]

export function parseOptionString(text: string): OptionString {
  const pieces = splitAtCommas(text)
  return pieces.map((piece, index) => {
    const equals = piece.indexOf('=')
    if (equals >= 0) return { key: piece.slice(0, equals), value: piece.slice(equals + 1) }
    return index === 0 ? { key: '', value: piece } : { key: piece, value: undefined }
  })
}

export function printOptionString(pairs: OptionString): string {
  return pairs
    .map(({ key, value }, index) => {
      if (value === undefined) return doubleCommas(key)
      return index === 0 && key === '' ? doubleCommas(value) : `${doubleCommas(key)}=${doubleCommas(value)}`
    })
    .join(',')
}

/** The value of `key`; the last one counts, as in QEMU. A switch reads as `on`. */
export function optionValue(pairs: OptionString, key: string): string | undefined {
  const pair = pairs.findLast((candidate) => candidate.key === key)
  return pair === undefined ? undefined : (pair.value ?? 'on')
}

/** As QEMU reads the first value, whose key the option implies: `key`. */
export const impliedValue = (pairs: OptionString, key: string): string | undefined =>
  pairs.find((pair) => pair.key === '' || pair.key === key)?.value

/** The same with `key` set to `value`: in its place if it is there, at the end otherwise. */
export function withValue(pairs: OptionString, key: string, value: string): OptionString {
  const index = pairs.findLastIndex((candidate) => candidate.key === key)
  return index < 0 ? [...pairs, { key, value }] : pairs.with(index, { key, value })
}

function splitAtCommas(text: string): string[] {
  const pieces: string[] = []
  let piece = ''
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== ',') piece += text[at]
    else if (text[at + 1] === ',') {
      piece += ','
      at++
    } else {
      pieces.push(piece)
      piece = ''
    }
  }
  return [...pieces, piece]
}

function doubleCommas(text: string): string {
  return text.replaceAll(',', ',,')
}
