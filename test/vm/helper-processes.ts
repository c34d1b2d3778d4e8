/** The files and processes of a guest's helpers in tests. */
import { readdirSync, readFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { kill, scratchFolder, type VmPool } from './support.ts'

/** The processes of this test that have `word` on their command line, and no hook's shell. */
export const processesWith = (word: string): number[] =>
  readdirSync('/proc').flatMap((name) => {
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'latin1').split('\0')
      const isHelper = words[0]?.includes('ld-linux') || words[0]?.includes('passt')
      return /^\d+$/.test(name) && isHelper && words.some((each) => each.includes(word)) ? [Number(name)] : []
    } catch {
      return [] // it has ended
    }
  })

/** A folder for a helper's files; what still names it is ended with the test. */
export function helperFolder(t: TestContext, pool: VmPool): string {
  const folder = scratchFolder(t)
  pool.endings.push(async () => {
    for (const pid of processesWith(folder)) kill(pid)
  })
  return folder
}
