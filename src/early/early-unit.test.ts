/** Tests of an early start that starts nothing: it says why, and holds up its mount for no longer. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startForUnit } from './early-unit.ts'
import { MOST_BEFORE_MOUNT_MS } from './start-early.ts'

const WAIT_MS = 100
/** Of a pool that no process of this machine has on record. */
const POOL = 'early-unit-test'

/** What it says, in one line, by a fstab with `lines`; `DIR` in them is an empty directory. */
async function saidWith(t: TestContext, pool: string, ...lines: readonly string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'early-unit-'))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'mnt'))
  const fstab = join(folder, 'fstab')
  writeFileSync(fstab, `${lines.map((line) => line.replaceAll('DIR', join(folder, 'mnt'))).join('\n')}\n`)
  const said: string[] = []
  const begun = performance.now()
  await startForUnit(pool, (line) => said.push(line), { fstab, waitMs: WAIT_MS })
  assert.ok(performance.now() - begun < MOST_BEFORE_MOUNT_MS)
  assert.equal(said.length, 1, said.join('\n'))
  return said[0] ?? ''
}

test('a pool that fstab does not mount, by its name and type, is none of it', async (t) => {
  for (const line of ['', 'other DIR guestmemfs store=dax', `${POOL} DIR ext4 store=dax`])
    assert.match(await saidWith(t, POOL, line), /^pool 'early-unit-test': no line of \S+fstab mounts it$/)
})

test('a region that does not come is waited for with a limit, and named', async (t) => {
  const said = await saidWith(t, POOL, `${POOL} DIR guestmemfs store=dax,region=0xfff000000000,nofail 0 0`)
  assert.match(said, /^pool 'early-unit-test': no guest of it goes on before its mount: \S+/)
})

test('options that no mount takes are its error, in one line', async (t) => {
  const said = await saidWith(t, POOL, `${POOL} DIR guestmemfs store=dax,sise=1G`)
  assert.match(said, /: no guest of it goes on before its mount: unknown mount option 'sise=1G'/)
})

test('a pool of memfds, a directory that is in use, and a mount above it that does not come', async (t) => {
  for (const lines of [
    [`${POOL} DIR guestmemfs size=1G`],
    [`${POOL} /proc guestmemfs store=dax`],
    [`${POOL} DIR/a/b guestmemfs store=dax`, '/dev/none DIR/a ext4 defaults'],
  ])
    assert.match(await saidWith(t, POOL, ...lines), /: no guest of it can go on before its mount$/)
})
