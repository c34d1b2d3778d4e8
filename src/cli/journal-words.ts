/**
 * A command as the journal may have it: its arguments, without secrets, in one line of bounded length. Pure.
 */
import { shellWord } from '../values/shell-word.ts'

/** Of words together; one path may have 4096. */
const MAX_CHARACTERS = 600
const CUT = ' …'

/** Options of guestmemfs with a value that may be a secret; the part before '=' is a name. */
const SECRET_OPTIONS = ['--env']

/**
 * `typed`: all words after the program's name. `operands`: those among them that are no options or their
 * values, the command's name left out. Of `run` QEMU's own words are left out: passwords may be among them.
 */
export function journalWords(typed: readonly string[], operands: readonly string[]): string {
  const [name = ''] = typed
  const hidden = name === 'run' ? new Set(operands.slice(1)) : new Set<string>()
  const end = typed.indexOf('--')
  const own = name === 'run' && end >= 0 ? typed.slice(0, end) : typed
  const logged: string[] = []
  for (const [index, word] of own.entries()) {
    if (hidden.has(word)) continue
    const isValue = SECRET_OPTIONS.includes(own[index - 1] ?? '')
    logged.push(printable(isValue ? withoutValue(word) : withoutOptionsValue(word)))
  }
  if (name === 'run' && end >= 0) logged.push('--', printable(operands[0] ?? ''))
  const line = logged.join(' ')
  return line.length <= MAX_CHARACTERS ? line : line.slice(0, MAX_CHARACTERS - CUT.length) + CUT
}

const withoutValue = (word: string): string => (word.includes('=') ? `${word.split('=', 1)[0]}=…` : word)

/** `--env=NAME=VALUE` is one word. */
function withoutOptionsValue(word: string): string {
  const option = SECRET_OPTIONS.find((name) => word.startsWith(`${name}=`))
  return option === undefined ? word : `${option}=${withoutValue(word.slice(option.length + 1))}`
}

/** Neither an end of line nor an escape sequence of a terminal comes out of it. */
const printable = (word: string): string =>
  shellWord(word.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`))
