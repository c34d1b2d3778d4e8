/** The lines of a pool's log, written by its keeper and its servers. */
import { readFileSync } from 'node:fs'
import { logPath } from '../../src/run/pool-record.ts'

export const poolLogLines = (pool: string): string[] => readFileSync(logPath(pool), 'utf8').trim().split('\n')
