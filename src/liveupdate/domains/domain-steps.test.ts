/** Domains of libvirt between the save and the jump, two of them, against a libvirt of the tests. */
import assert from 'node:assert/strict'
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readDomainRecord } from '../../libvirt/domain-record.ts'
import type { DomainTools } from '../../libvirt/save-domain.ts'
import { UUID } from '../../libvirt/testing/domain-xml.ts'
import { FakeLibvirt, together } from '../../libvirt/testing/fake-libvirt.ts'
import { VirshLateError } from '../../libvirt/virsh.ts'
import { QemuError } from '../../values/errors.ts'
import { DomainSteps } from './domain-steps.ts'

const DB = { name: 'db', uuid: UUID.replace(/^c/, 'd') }
const WAIT = { timeoutMs: 5000, patienceMs: 5000 }

interface Both {
  readonly web: FakeLibvirt
  readonly db: FakeLibvirt
  readonly tools: DomainTools
}

function bothSaved(t: TestContext): Both {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'domain-steps-')))
  t.after(() => rmSync(root, { recursive: true }))
  const [web, db] = [new FakeLibvirt(root), new FakeLibvirt(root, 8, DB)]
  return { web, db, tools: together([web, db]) }
}

/** With `destroy` of one domain done otherwise. */
const ending = (tools: DomainTools, uuid: string, destroy: () => Promise<string>): DomainTools => ({
  ...tools,
  run: (words, timeoutMs) =>
    words[0] === 'destroy' && words[1] === uuid ? destroy() : tools.run(words, timeoutMs),
})

async function saved({ web, db }: Both, tools: DomainTools): Promise<DomainSteps> {
  const domains = [web.start(), db.start()]
  const steps = new DomainSteps({ domains, known: domains.map(({ about }) => about.uuid), tools })
  assert.deepEqual(await steps.lookAgain(), [])
  assert.deepEqual(await steps.suspendAll(WAIT), [])
  return steps
}

test('before any guest is stopped each domain is looked at once more', async (t) => {
  const { web, db, tools } = bothSaved(t)
  const domains = [web.start(), db.start()]
  const steps = new DomainSteps({ domains, known: [], tools })
  await assert.rejects(steps.suspendAll(WAIT), /not looked at/)
  const qemu = db.qemu as NonNullable<typeof db.qemu>
  writeFileSync(join(qemu.folder, 'dimm0'), '')
  const [line, ...more] = await steps.lookAgain()
  assert.match(line ?? '', /^VM db: its QEMU does not have dimm0 of .* as RAM$/)
  assert.deepEqual(more, [])
  assert.deepEqual(await steps.rollBack(WAIT.timeoutMs, Date.now()), [])
  assert.deepEqual([web.tick(), db.tick()], [1, 1])
  // No lock is left, and the disk that web has by now is the one that its record gets.
  rmSync(join(qemu.folder, 'dimm0'))
  const live = web.qemu as NonNullable<typeof web.qemu>
  live.xml = live.xml.replace('web.qcow2', 'web.snapshot')
  const again = new DomainSteps({ domains, known: [], tools })
  assert.deepEqual([await again.lookAgain(), await again.suspendAll(WAIT)], [[], []])
  assert.match(readDomainRecord(UUID, web.paths.records)?.xml ?? '', /web\.snapshot/)
})

const outcomes = async (steps: DomainSteps): Promise<string[]> =>
  (await steps.rollBack(WAIT.timeoutMs, Date.now())).map(({ name, outcome }) => `${name} ${outcome}`)

/** libvirt ends a QEMU some time after it was asked. */
const slowly = (libvirt: FakeLibvirt) => async (): Promise<string> => {
  await sleep(100)
  return await libvirt.tools.run(['destroy', libvirt.uuid])
}

test('a QEMU that has ended by itself is no failure, and the others are waited for', async (t) => {
  const both = bothSaved(t)
  const { web, db } = both
  const steps = await saved(both, ending(both.tools, DB.uuid, slowly(db)))
  await web.tools.run(['destroy', UUID])
  await steps.endQemus()
  assert.deepEqual([web.qemu, db.qemu], [undefined, undefined])
  assert.deepEqual(await outcomes(steps), ['web rolled-back', 'db rolled-back'])
  assert.deepEqual([web.tick(), db.tick()], [1, 1])
})

test('where one QEMU is not ended, no guest is continued in one that is being ended', async (t) => {
  const both = bothSaved(t)
  const { web, db } = both
  const steps = await saved(both, ending(both.tools, DB.uuid, slowly(db)))
  web.failing.set('destroy', 'access denied')
  await assert.rejects(steps.endQemus(), /^UsageError: VM web: virsh destroy: access denied$/)
  assert.equal(db.qemu, undefined)
  assert.deepEqual(await outcomes(steps), ['web rolled-back', 'db rolled-back'])
  assert.deepEqual([web.tick(), db.tick()], [1, 1])
  assert.equal(web.qemu?.id, 7)
})

test('a guest whose QEMU libvirt may yet end stays saved, and is not continued in it', async (t) => {
  const both = bothSaved(t)
  const { web, db } = both
  const late = async (): Promise<string> => {
    throw new VirshLateError('virsh destroy: no answer within 40000 ms')
  }
  const steps = await saved(both, ending(both.tools, DB.uuid, late))
  await assert.rejects(steps.endQemus(), /VM db: virsh destroy: no answer within 40000 ms/)
  const results = await steps.rollBack(WAIT.timeoutMs, Date.now())
  assert.deepEqual(
    results.map(({ outcome }) => outcome),
    ['rolled-back', 'saved'],
  )
  assert.match(results[1]?.problem ?? '', /libvirt may end its QEMU yet; .* 'guestmemfs resume --name db'$/)
  assert.equal(readDomainRecord(DB.uuid, db.paths.records)?.state, 'saved')
  assert.equal(db.qemu?.status, 'postmigrate')
  assert.equal(web.tick(), 1)
})

test('libvirt that answers nothing any more leaves all of them saved', async (t) => {
  const both = bothSaved(t)
  const { web, db, tools } = both
  let isGone = false
  const steps = await saved(both, {
    ...tools,
    run: async (words) => {
      if (isGone) throw new QemuError('virsh: Failed to connect socket')
      return await tools.run(words)
    },
  })
  isGone = true
  await assert.rejects(steps.endQemus(), /VM web: .*; VM db: .*Failed to connect socket/)
  for (const { uuid, paths } of [web, db]) assert.equal(readDomainRecord(uuid, paths.records)?.state, 'saved')
})

test('a guest that another client has continued is found before the jump, and before its QEMU is ended', async (t) => {
  for (const step of ['checkStillStopped', 'endQemus'] as const) {
    const both = bothSaved(t)
    const { web, db, tools } = both
    const steps = await saved(both, tools)
    assert.deepEqual(await steps.checkStillStopped(), [])
    await db.tools.run(['resume', DB.uuid])
    const said = steps[step]().then(
      (lines) => (lines ?? []).join(),
      ({ message }: Error) => message,
    )
    assert.match(await said, /^VM db: another client of its QEMU has continued it .*\(state 'running'\)$/)
    assert.equal(db.qemu?.id, 8)
    assert.equal(db.tick(), 1)
    assert.deepEqual(await outcomes(steps), ['web rolled-back', 'db rolled-back'])
    assert.deepEqual([web.tick(), db.tick()], [1, 2])
    assert.deepEqual(readDomainRecord(DB.uuid, db.paths.records), undefined)
  }
})

test('a QEMU that has ended has run nothing since: its guest is saved', async (t) => {
  const both = bothSaved(t)
  const steps = await saved(both, both.tools)
  await both.web.tools.run(['destroy', UUID])
  assert.deepEqual(await steps.checkStillStopped(), [])
})
