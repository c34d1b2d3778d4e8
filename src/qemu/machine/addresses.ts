/**
 * The addresses that sockets of QEMU listen on or connect to, as they were given: they are the same with
 * every peer. Of other character devices QEMU reports the kind alone.
 */
import * as v from 'valibot'
import { type Ask, readChildren, unlessRefused } from './ask.ts'
import type { NetworkClient } from './networks.ts'

/** A container of QEMU's (chardev/char.c). */
const CHARDEVS = '/chardevs'
/** Of network backends that QEMU reports by fixed addresses. */
const FIXED_WORD = /^(udp|mcast)=/

/** `ID: ADDRESS`, one line each. Errors: as of `Ask`. */
export async function readAddresses(ask: Ask, clients: readonly NetworkClient[]): Promise<string[]> {
  const chardevs = await readChildren(ask, CHARDEVS)
  const sockets = [...chardevs].flatMap(([id, type]) => (type === 'chardev-socket' ? [id] : []))
  const reported = await Promise.all(
    sockets.map(async (id) => {
      const path = `${CHARDEVS}/${id}`
      const address = await unlessRefused(ask(v.unknown(), 'qom-get', { path, property: 'addr' }), undefined)
      return address === undefined ? [] : [`${id}: ${JSON.stringify(address)}`]
    }),
  )
  return [
    ...reported.flat(),
    ...clients.flatMap(({ id, kind, words }) => {
      const fixed = words.filter((word) => FIXED_WORD.test(word))
      return kind === 'nic' || fixed.length === 0 ? [] : [`${id}: ${[kind, ...fixed].join(',')}`]
    }),
  ]
}
