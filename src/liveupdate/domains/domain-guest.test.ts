/** One domain's part in an update and a resumption: phases and outcomes, against a libvirt of the tests. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { NO_DOMAINS } from '../../libvirt/active-domains.ts'
import { type DomainRecord, readDomainRecord } from '../../libvirt/domain-record.ts'
import { lockDomain } from '../../libvirt/domain-state.ts'
import { saveDomain } from '../../libvirt/save-domain.ts'
import { UUID } from '../../libvirt/testing/domain-xml.ts'
import { FakeLibvirt } from '../../libvirt/testing/fake-libvirt.ts'
import { VirshLateError } from '../../libvirt/virsh.ts'
import { UsageError } from '../../values/errors.ts'
import { POOL } from '../preflight/testing/facts.ts'
import { nowMs, type VmTimeline } from '../report/timeline.ts'
import { checkDomainPools } from './check-domains.ts'
import { replaceDomain, resumeDomainGuest } from './domain-guest.ts'

function newLibvirt(t: TestContext): FakeLibvirt {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'domain-guest-')))
  t.after(() => rmSync(root, { recursive: true }))
  return new FakeLibvirt(root)
}

const contextOf = (libvirt: FakeLibvirt) => ({
  timeoutMs: 1000,
  originMs: nowMs(),
  onPhase: () => {},
  tools: libvirt.tools,
})
const phases = ({ phases }: VmTimeline): string[] => phases.map(({ phase }) => phase)

test('an update of QEMU alone: phases without a gap, both versions, and the blackout', async (t) => {
  const libvirt = newLibvirt(t)
  const result = await replaceDomain(libvirt.start(), contextOf(libvirt))
  assert.deepEqual([result.name, result.outcome, result.problem], ['web', 'updated', null])
  assert.deepEqual(phases(result), ['save', 'quit', 'start', 'load', 'continue'])
  assert.deepEqual([result.qemuBefore, result.qemuAfter], ['10.0.13', '10.0.13'])
  const sumUs = result.phases.reduce((sum, { durationUs }) => sum + durationUs, 0)
  assert.ok(result.blackoutUs !== null && result.blackoutUs > 0)
  // Each phase is rounded.
  assert.ok(Math.abs(result.blackoutUs - sumUs) <= result.phases.length)
  assert.equal(libvirt.tick(), 1)
})

test('what fails before its QEMU has ended leaves the guest there, and says why', async (t) => {
  for (const [command, words] of [
    ['migrate', 'blocked'],
    ['destroy', 'libvirt does not end it'],
  ] as const) {
    const libvirt = newLibvirt(t)
    const domain = libvirt.start()
    libvirt.failing.set(command, words)
    const { outcome, problem } = await replaceDomain(domain, contextOf(libvirt))
    assert.deepEqual([outcome, problem?.endsWith(words)], ['rolled-back', true])
    assert.equal(libvirt.tick(), 1)
  }
})

test('a domain that was changed since it was listed is updated as it is now, or left alone', async (t) => {
  type Change = (libvirt: FakeLibvirt) => Promise<void> | void
  const changed = async (change: Change) => {
    const libvirt = newLibvirt(t)
    const domain = libvirt.start()
    await change(libvirt)
    return { libvirt, result: await replaceDomain(domain, contextOf(libvirt)) }
  }
  const live = ({ qemu }: FakeLibvirt) => qemu as NonNullable<typeof qemu>
  const snapshot = await changed((libvirt) => {
    live(libvirt).xml = live(libvirt).xml.replace('web.qcow2', 'web.snapshot')
  })
  assert.equal(snapshot.result.outcome, 'updated')
  assert.match(live(snapshot.libvirt).xml, /web\.snapshot/)
  const refused: [Change, RegExp][] = [
    [(libvirt) => writeFileSync(join(live(libvirt).folder, 'dimm0'), ''), /does not have dimm0 of .* as RAM/],
    [
      async (libvirt) => {
        await libvirt.tools.run(['destroy', UUID])
        libvirt.start()
      },
      /^it was started anew while the update was under way: try again$/,
    ],
    [async (libvirt) => void (await libvirt.tools.run(['destroy', UUID])), /^it has ended$/],
  ]
  for (const [change, pattern] of refused) {
    const { libvirt, result } = await changed(change)
    assert.equal(result.outcome, 'rolled-back')
    assert.match(result.problem ?? '', pattern)
    assert.ok(!libvirt.calls.includes('migrate'))
  }
})

test('a guest that another client has continued since its save runs on: its state is too old', async (t) => {
  const libvirt = newLibvirt(t)
  const domain = libvirt.start()
  const { tools } = libvirt
  const run = async (words: readonly string[]): Promise<string> => {
    const said = await tools.run(words)
    // Of the save, its last question: the guest is stopped.
    if (words[0] === 'dumpxml' && libvirt.qemu?.status === 'postmigrate') await tools.run(['resume', UUID])
    return said
  }
  const { outcome, problem } = await replaceDomain(domain, {
    ...contextOf(libvirt),
    tools: { ...tools, run },
  })
  assert.equal(outcome, 'rolled-back')
  assert.match(problem ?? '', /^another client of its QEMU has continued it since it was saved/)
  assert.equal(libvirt.qemu?.id, 7)
  assert.equal(libvirt.tick(), 1)
  assert.equal(readDomainRecord(UUID, libvirt.paths.records), undefined)
})

test('a late end of its QEMU leaves the guest saved: libvirt may end it while it runs there', async (t) => {
  const libvirt = newLibvirt(t)
  const domain = libvirt.start()
  const { tools } = libvirt
  const run = async (words: readonly string[]): Promise<string> => {
    if (words[0] === 'destroy') throw new VirshLateError('virsh destroy: no answer within 40000 ms')
    return await tools.run(words)
  }
  const late = await replaceDomain(domain, { ...contextOf(libvirt), tools: { ...tools, run } })
  assert.equal(late.outcome, 'saved')
  assert.match(
    late.problem ?? '',
    /libvirt may end its QEMU yet; its RAM is kept: .*'guestmemfs resume --name web'$/,
  )
  assert.equal(libvirt.qemu?.status, 'postmigrate')
  const record = readDomainRecord(UUID, libvirt.paths.records) as DomainRecord
  assert.equal(record.state, 'saved')
  // libvirt comes to its end of it.
  await tools.run(['destroy', UUID])
  assert.equal((await resumeDomainGuest(record, contextOf(libvirt))).outcome, 'resumed')
  assert.equal(libvirt.tick(), 1)
})

test('a check that ends the update changes nothing, and so does another command that has the domain', async (t) => {
  const libvirt = newLibvirt(t)
  const domain = libvirt.start()
  const check = (): void => {
    throw new UsageError('stopped by SIGINT')
  }
  const stopped = await replaceDomain(domain, { ...contextOf(libvirt), check })
  assert.deepEqual([stopped.outcome, stopped.problem], ['rolled-back', 'stopped by SIGINT'])
  const release = await lockDomain(UUID, libvirt.paths.starts)
  const second = await replaceDomain(domain, contextOf(libvirt))
  assert.deepEqual([second.outcome, second.problem], ['rolled-back', 'another update of it is under way'])
  release()
  assert.ok(!libvirt.calls.includes('migrate'))
})

test('a next QEMU that does not start leaves the guest saved, with the way on; the resumption has its times', async (t) => {
  const libvirt = newLibvirt(t)
  const domain = libvirt.start()
  libvirt.failing.set('create', 'no such machine')
  const saved = await replaceDomain(domain, contextOf(libvirt))
  assert.equal(saved.outcome, 'saved')
  assert.match(
    saved.problem ?? '',
    /no such machine; its RAM is kept: go on with 'guestmemfs resume --name web'$/,
  )
  assert.equal(saved.blackoutUs, null)
  libvirt.failing.clear()
  const record = readDomainRecord(UUID, libvirt.paths.records) as DomainRecord
  const resumed = await resumeDomainGuest(record, contextOf(libvirt))
  assert.deepEqual([resumed.outcome, phases(resumed)], ['resumed', ['wait', 'start', 'load', 'continue']])
  assert.ok((resumed.blackoutUs ?? 0) > 0)
})

test('what another command has resumed meanwhile is not resumed by a record of before', async (t) => {
  const libvirt = newLibvirt(t)
  const before = await saveDomain({
    domain: libvirt.start(),
    timeoutMs: 1000,
    onStep: () => {},
    tools: libvirt.tools,
  })
  libvirt.reboot()
  assert.equal((await resumeDomainGuest(before, contextOf(libvirt))).outcome, 'resumed')
  await libvirt.tools.run(['destroy', UUID])
  const second = await resumeDomainGuest(before, contextOf(libvirt))
  assert.deepEqual([second.outcome, second.problem, libvirt.qemu], ['resumed', null, undefined])
  // Nothing keeps libvirt from starting it.
  assert.deepEqual(readdirSync(libvirt.paths.records), [])
})

test('a libvirt that does not come up keeps the guest saved, in one line', async (t) => {
  const libvirt = newLibvirt(t)
  const record = await saveDomain({
    domain: libvirt.start(),
    timeoutMs: 1000,
    onStep: () => {},
    tools: libvirt.tools,
  })
  libvirt.reboot()
  libvirt.failing.set('list', 'Failed to connect socket')
  const result = await resumeDomainGuest(record, { ...contextOf(libvirt), libvirtTimeoutMs: 100 })
  assert.equal(result.outcome, 'saved')
  assert.match(
    result.problem ?? '',
    /^libvirt does not answer: virsh list: Failed to connect socket; its RAM is kept$/,
  )
})

test('a kernel update refuses domains whose pool would end, and names those that cannot be saved', (t) => {
  const libvirt = newLibvirt(t)
  const web = { ...libvirt.start(), mountPoint: '/mnt/pool' }
  const domains = { ...NO_DOMAINS, ours: [web] }
  const pool = { ...POOL, mountPoint: '/mnt/pool' }
  const lines = (facts: Partial<typeof pool>, left: readonly string[] = []): string[] =>
    checkDomainPools([{ ...pool, ...facts }], domains, left).map(
      ({ severity, message }) => `${severity} ${message}`,
    )
  assert.deepEqual(lines({}), [])
  assert.match(
    lines({ by: undefined, store: 'memfd' }).join(),
    /^error VM web would end with this kernel, as pool/,
  )
  assert.deepEqual(lines({ by: undefined }, ['web']), [])
  assert.match(lines({ isChosen: false }).join(), /^error VM web .* name no pool to include it$/)
  assert.match(
    lines({ mountPoint: '/mnt/other' }).join(),
    /^error VM web: its pool on \/mnt\/pool is not mounted/,
  )
  const other = { uuid: UUID, name: 'db', pid: 1, whyNot: 'its RAM is private to QEMU' }
  const found = checkDomainPools(
    [pool],
    { ours: [], others: [other], problems: ['libvirt does not answer'] },
    [],
  )
  assert.deepEqual(
    found.map(({ severity, message }) => `${severity} ${message}`),
    [
      'error libvirt does not answer',
      'warn VM db of libvirt ends with this kernel: its RAM is private to QEMU',
    ],
  )
})
