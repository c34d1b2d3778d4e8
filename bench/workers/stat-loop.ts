/**
 * Watches a mount from a process of its own: it calls statfs(2), which the kernel never answers from a cache,
 * as fast as it can for a while and prints, as JSON, the longest time between two answers, and their number.
 * Arguments: path, milliseconds.
 */
import { statfsSync } from 'node:fs'

const [, , path = '/', duration = '0'] = process.argv
const end = performance.now() + Number(duration)
let longestMs = 0
let answers = 0
process.stdout.write('\n')
for (let before = performance.now(); before < end; ) {
  statfsSync(path)
  const now = performance.now()
  longestMs = Math.max(longestMs, now - before)
  answers += 1
  before = now
}
process.stdout.write(JSON.stringify({ longestMs, answers }))
