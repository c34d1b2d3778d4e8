/** Tests of the ticks that a host's console tells: what tail(1) prints, among messages of the kernel. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { LOGS } from '../guests/qemu.ts'
import { ConsoleTicks, tellTicks } from './console-ticks.ts'

test('a tick is told when it, or a later one of the same guest, was printed first', () => {
  const ticks = new ConsoleTicks()
  const lines = [
    'tick 1 bad 0',
    '==> /run/testbed/logs/one <==',
    'tick 70 bad 0',
    '[   12.345678] a message of the kernel',
    'tick 7[   12.345679] a message within a line',
    '1 bad 0',
    '',
    '==> /run/testbed/logs/other-2 <==',
    'tick 9 bad 0',
    '',
    '==> /run/testbed/logs/one <==',
    'tick 72 bad 0',
  ]
  for (const [index, line] of lines.entries()) ticks.read(line, index)
  const told = (guest: string, tick: number) => ticks.toldAtMs(guest, tick)
  assert.deepEqual([told('one', 69), told('one', 70), told('one', 71), told('one', 72)], [2, 2, 11, 11])
  assert.equal(told('one', 73), undefined)
  assert.deepEqual([told('other-2', 9), told('other-2', 10), told('third', 1)], [8, undefined, undefined])
})

test('tail tells files that are made later, each line with its file', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ticks-'))
  const command = tellTicks(['one', 'two']).replaceAll(LOGS, folder).replace(' >/dev/console', '')
  assert.match(command, /^tail .* &$/)
  // Without the last `&`, in place of the shell: the test ends it.
  const child = spawn('sh', ['-c', `exec ${command.slice(0, -1)}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => {
    child.kill()
    rmSync(folder, { recursive: true })
  })
  const ticks = new ConsoleTicks()
  createInterface({ input: child.stdout }).on('line', (line) => ticks.read(line, 1))
  const untilTold = async (guest: string, tick: number): Promise<void> => {
    for (let look = 0; look < 500 && ticks.toldAtMs(guest, tick) === undefined; look++) await sleep(20)
    assert.equal(ticks.toldAtMs(guest, tick), 1, `tick ${tick} of ${guest}`)
  }
  writeFileSync(join(folder, 'two'), 'tick 5 bad 0\n')
  await untilTold('two', 5)
  writeFileSync(join(folder, 'one'), 'tick 8 bad 0\ntick 9 bad 0\n')
  await untilTold('one', 9)
  writeFileSync(join(folder, 'two'), 'tick 6 bad 0\n', { flag: 'a' })
  await untilTold('two', 6)
  assert.equal(ticks.toldAtMs('one', 10), undefined)
})
