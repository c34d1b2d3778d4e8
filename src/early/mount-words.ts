/**
 * The words that guests wait for and that need no parser: those of a `mount --resume`, as
 * /sbin/mount.guestmemfs, a unit and an operator type them, and those of the unit of the early start. Read
 * before the program is loaded, so it imports no other file of guestmemfs.
 */
import type { MountRequest } from '../pool/mount-pool.ts'

/**
 * The pool of `early POOL`, which the unit guestmemfs-early@POOL.service runs and nobody else. undefined: it
 * is another command.
 */
export const earlyPool = ([command, pool, ...more]: readonly string[]): string | undefined =>
  command === 'early' && pool !== undefined && more.length === 0 ? pool : undefined

/**
 * `words`: after the program's name. undefined: it is another command, or its words need the parser, which
 * then says what is wrong with them.
 */
export function resumingMount(words: readonly string[]): MountRequest | undefined {
  if (words[0] !== 'mount') return undefined
  const [positionals, options]: [string[], string[]] = [[], []]
  let resumes = false
  for (let at = 1; at < words.length; at++) {
    const word = words[at] as string
    const value = words[at + 1]
    if (word === '-o' && value !== undefined) {
      options.push(value)
      at++
    } else if (word === '--resume') resumes = true
    else if (word.startsWith('-') && word !== '--json') return undefined
    else if (word !== '--json') positionals.push(word)
  }
  const [pool, mountPoint] = positionals
  if (!resumes || pool === undefined || mountPoint === undefined || positionals.length > 2) return undefined
  // A mount that is there already is changed, and has its guests.
  if (options.some((list) => list.split(',').includes('remount'))) return undefined
  return { pool, mountPoint, options }
}
