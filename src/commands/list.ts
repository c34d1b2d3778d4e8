/** Owns `guestmemfs list`: the pools of this host. */
import type { Command } from 'commander'
import { summarisePools } from '../pool/pool-summary.ts'
import { formatSize } from '../values/size.ts'
import { print, printJson, printTable } from './print.ts'

export const registerList = (program: Command): void => {
  program
    .command('list')
    .description('list the pools of this host, mounted and parked')
    .option('--json', 'print JSON, sizes in bytes')
    .action((options: { json?: true }) => {
      const pools = summarisePools()
      if (options.json) return printJson(pools)
      if (pools.length === 0) return print('no pools')
      printTable(
        ['POOL', 'STATE', 'SIZE', 'FREE', 'MOUNTED ON'],
        pools.map((pool) => [
          pool.pool,
          pool.state,
          formatSize(pool.sizeBytes),
          pool.freeBytes === null ? '-' : formatSize(pool.freeBytes),
          pool.mountPoint ?? '-',
        ]),
      )
    })
}
