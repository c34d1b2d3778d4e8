/**
 * Tests of monitors that answer wrongly, stall, flood or close at each message of an update: the command ends
 * in bounded time with one line for the guest, whose QEMU has all of it, and the other guests are updated.
 *
 * A message and a fault of it make a case, and there are hundreds: a run takes a few, always the same.
 * `GUESTMEMFS_FAULTS=all` takes all of them, and `GUESTMEMFS_FAULTS=SEED` others.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  assertWhole,
  type Case,
  casesOf,
  caseWords,
  type FaultyGuest,
  messagesMet,
  startFaulty,
} from './fault-sweep.ts'
import { linesOfPlan } from './plan-a-kernel.ts'
import { mountVmPool, qemuPid, updateVmm, type VmPool } from './support.ts'

/** Guests of one command, each with a case of its own. */
const AT_ONCE = 3
/** Of each test: of messages that change QEMU, and of the others. */
const CHOSEN = 6
/** A command waits this long for a QEMU that answers no more after a fault, several times in a row. */
const TIMEOUT = '15s'
/** One line for the operator, which is no error of the program itself. */
const ONE_LINE = /^(?!.*(undefined|TypeError|EPIPE|object Object|file:\/\/))[^\n]+$/

async function faultyGuests(t: TestContext): Promise<{ pool: VmPool; guests: FaultyGuest[] }> {
  const pool = await mountVmPool(t)
  return { pool, guests: await startFaulty(t, pool, AT_ONCE) }
}

/** Groups of cases, one for each guest. */
const batches = (cases: readonly Case[]): Case[][] =>
  Array.from({ length: Math.ceil(cases.length / AT_ONCE) }, (_, at) =>
    cases.slice(at * AT_ONCE, (at + 1) * AT_ONCE),
  )

function set(guests: readonly FaultyGuest[], batch: readonly Case[]): void {
  for (const [at, { faulty }] of guests.entries()) faulty.set(batch[at])
}

/** What the command says of the guest, and whether its next QEMU has it. */
function assertAnswered(one: Case, words: string, { isUpdated }: { isUpdated: boolean }): void {
  const what = `${caseWords(one)}: ${words}`
  if (one.how === 'flood') assert.ok(isUpdated, what)
  if (!isUpdated) assert.match(words, ONE_LINE, what)
}

test('a monitor that does one thing wrong at a message of live-update --vmm-only', {
  timeout: 7_200_000,
}, async (t) => {
  const { pool, guests } = await faultyGuests(t)
  set(guests, [])
  const first = await updateVmm(pool)
  assert.equal(first.status, 0, JSON.stringify(first))
  const cases = casesOf(t, messagesMet(guests[0] as FaultyGuest), CHOSEN)
  for (const batch of batches(cases)) {
    set(guests, batch)
    const pids = guests.map(({ name }) => qemuPid(name))
    const { status, stderr, report } = await updateVmm(pool, '--timeout', TIMEOUT)
    set(guests, [])
    assert.ok(status === 0 || status === 1, `${status}: ${batch.map(caseWords).join(', ')}`)
    for (const [at, { name }] of guests.entries()) {
      const result = report.vms.find((vm) => vm.name === name)
      const said = stderr.split('\n').find((line) => line.startsWith(`guestmemfs: VM ${name}: `))
      const words = result?.problem ?? said ?? ''
      const isUpdated = result?.outcome === 'updated'
      const one = batch[at]
      if (one === undefined) assert.ok(isUpdated, `${name}: ${words}`)
      else assertAnswered(one, words, { isUpdated })
      if (one !== undefined) t.diagnostic(`${result?.outcome ?? 'refused'}: ${caseWords(one)}: ${words}`)
      assert.ok(isUpdated || [undefined, 'refused', 'rolled-back'].includes(result?.outcome), words)
      assert.equal(qemuPid(name) === pids[at], !isUpdated, words)
    }
    await assertWhole(pool, guests, batch.map(caseWords).join(', '))
  }
})

test('a monitor that does one thing wrong at a message of the preflight of live-update --kernel', {
  timeout: 3_600_000,
}, async (t) => {
  const { pool, guests } = await faultyGuests(t)
  set(guests, [])
  // The command looks from a mount namespace of its own, which each guest is refused for.
  const usual = await linesOfPlan(t)
  let refused = 0
  for (const batch of batches(casesOf(t, messagesMet(guests[0] as FaultyGuest), CHOSEN))) {
    set(guests, batch)
    const lines = await linesOfPlan(t)
    set(guests, [])
    for (const [at, { name }] of guests.entries()) {
      const more = lines.filter(
        (line) => line.startsWith(`guestmemfs: VM ${name}: `) && !usual.includes(line),
      )
      const one = batch[at]
      t.diagnostic(`${one && caseWords(one)}: ${more.join('')}`)
      assert.ok(more.length <= (one === undefined || one.how === 'flood' ? 0 : 1), lines.join('\n'))
      if (more[0] !== undefined) assert.match(more[0], ONE_LINE)
      refused += more.length
    }
    await assertWhole(pool, guests, batch.map(caseWords).join(', '))
  }
  assert.ok(refused > 0, 'no fault was met')
})
