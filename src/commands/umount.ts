/** Owns `guestmemfs umount`: parks a pool that holds files, discards it when asked to. */

import type { Command } from 'commander'
import { print, printJson } from '../cli/print.ts'
import { unmountPool } from '../pool/unmount-pool.ts'

const SAID = {
  parked: 'unmounted and parked: mount it again to find its files, or give its memory up with --discard',
  discarded: 'unmounted, its memory given up',
  ended: 'unmounted; it held nothing',
  lost: 'unmounted; its processes had died, and its memory with them',
} as const

export const registerUmount = (program: Command): void => {
  program
    .command('umount')
    .description('unmount a pool; its memory stays parked unless discarded')
    .argument('<pool|mountpoint>')
    .option('--discard', "give the pool's memory up, whatever it holds")
    .option('--json', 'print JSON')
    .action(async (named: string, options: { discard?: true; json?: true }) => {
      const result = await unmountPool(named, { discard: options.discard ?? false })
      if (options.json) printJson({ named, result })
      else print(`${named}: ${SAID[result]}`)
    })
}
