/**
 * Guests whose monitors each do one wrong thing at one message of an update, several guests in one command,
 * and what must hold afterwards.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { TestContext } from 'node:test'
import { readDefinition } from '../../src/qemu/vm-definition.ts'
import { type Fault, type FaultyQemu, faultyQemu, type How } from './faulty-qemu.ts'
import { listVms, monitor, qemuPid, scratchFolder, startTinyVm, type TestVm, type VmPool } from './support.ts'

export type Message = Omit<Fault, 'round' | 'how'>
export type Case = Message & { readonly how: How }

export interface FaultyGuest extends TestVm {
  readonly faulty: FaultyQemu
}

export async function startFaulty(t: TestContext, pool: VmPool, count: number): Promise<FaultyGuest[]> {
  const guests: FaultyGuest[] = []
  for (let at = 0; at < count; at++) {
    const faulty = faultyQemu(scratchFolder(t))
    const vm = await startTinyVm(t, pool, `faulty${at}`, {
      seed: at + 1,
      strideBytes: 1024,
      qemu: faulty.path,
    })
    guests.push({ ...vm, faulty })
  }
  return guests
}

/** Each message of the last round, in QEMU's order, as a fault names it. */
export function messagesMet({ faulty }: FaultyGuest): Message[] {
  const lines = readFileSync(`${join(faulty.path, '..', 'fault')}.met`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
  const last = lines.at(-1)?.[0]
  const seen = new Map<string, number>()
  return lines
    .filter(([round]) => round === last)
    .map(([, role = '', connection = '', command = '']) => {
      const key = `${role} ${connection} ${command}`
      const nth = (seen.get(key) ?? 0) + 1
      seen.set(key, nth)
      return { role: role as Message['role'], connection: Number(connection), command, nth }
    })
}

/** Nothing is undone by repeating these: a QEMU is another one once it has taken them. */
const CHANGES = ['migrate-set-parameters', 'migrate-set-capabilities', 'migrate', 'migrate-incoming', 'cont']
const HOWS = ['lie', 'stall', 'close', 'endless', 'flood'] as const

/** Those of a run that asks for no others: the same each time. */
const USUAL = 'usual'

/**
 * `count` cases of messages that change QEMU, where it no longer answers, and as many others; all, where the
 * environment asks for them.
 */
export function casesOf(t: TestContext, messages: readonly Message[], count: number): Case[] {
  const seed = process.env.GUESTMEMFS_FAULTS ?? USUAL
  const all = messages.flatMap((message) => HOWS.map((how): Case => ({ ...message, how })))
  t.diagnostic(`GUESTMEMFS_FAULTS=${seed}: ${messages.length} messages, ${all.length} cases`)
  if (seed === 'all') return all
  const isChange = ({ command, how }: Case) => CHANGES.includes(command) && ['stall', 'close'].includes(how)
  const order = (one: Case) =>
    createHash('sha256')
      .update(`${seed} ${caseWords(one)}`)
      .digest('hex')
  const chosen = (cases: readonly Case[]) =>
    cases
      .map((one) => [order(one), one] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, count)
      .map(([, one]) => one)
  return [...chosen(all.filter(isChange)), ...chosen(all.filter((one) => !isChange(one)))]
}

export const caseWords = ({ role, connection, command, nth, how }: Case): string =>
  `${how} at ${command} (${nth}) of connection ${connection} of the ${role} QEMU`

/** Each guest is in one QEMU that is set for no save, and no file or record of an update is left. */
export async function assertWhole(pool: VmPool, guests: readonly FaultyGuest[], what: string): Promise<void> {
  await Promise.all(
    guests.map(async ({ serial, name, ramFile }) => {
      await serial.moreTicks(2)
      assert.equal(serial.findBreak(), undefined, what)
      const { mode } = (await monitor(name, 'query-migrate-parameters')) as { mode: string }
      assert.equal(mode, 'normal', `${name}: ${what}`)
      const definition = readDefinition(ramFile)
      assert.deepEqual([definition?.saved, definition?.underUpdate], [null, undefined], `${name}: ${what}`)
    }),
  )
  assert.deepEqual(readdirSync(pool.mountPoint).sort(), guests.map(({ ramFile }) => basename(ramFile)).sort())
  for (const { name, state, pid } of await listVms(pool))
    assert.deepEqual([state, pid], ['running', qemuPid(name)], what)
}
