import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { QmpCommands } from '../qemu/qmp-commands.ts'
import { GIB, MIB } from '../values/units.ts'
import type { ActiveDomain } from './active-domains.ts'
import { describeDomain } from './describe-domain.ts'
import { deviceProblems, diskProblem, domainRamProblems, examineDomain } from './examine-domain.ts'
import { domainXml } from './testing/domain-xml.ts'

const FOLDER = '/mnt/guestmemfs/libvirt/qemu/7-web'
const RAM = [{ name: 'pc.ram', inode: 9, sizeBytes: 256 * MIB }]
const DOMAIN: ActiveDomain = {
  about: describeDomain(domainXml()),
  xml: domainXml(),
  id: 7,
  isPersistent: true,
  pid: 1,
  mountPoint: '/mnt/guestmemfs',
  folder: FOLDER,
  ram: RAM,
}
const block = {
  id: 'pc.ram',
  type: 'memory-backend-file',
  sizeBytes: 256 * MIB,
  isShared: true,
  path: `${FOLDER}/pc.ram`,
  isDiscarded: false,
}

test('RAM that the stream leaves out must be in the folder of the domain, all of it', () => {
  assert.deepEqual(domainRamProblems([block], DOMAIN), [])
  const rows: [object, RegExp][] = [
    [{ path: '/dev/shm/x' }, /256M of its RAM \(\/dev\/shm\/x, 'pc.ram'\) are not in the pool/],
    [{ path: '/mnt/guestmemfs/libvirt/qemu/8-db/pc.ram' }, /are not in the pool/],
    [{ path: `${FOLDER}/other` }, /are not in the pool/],
    [{ type: 'memory-backend-memfd', path: null }, /\(memory-backend-memfd, 'pc.ram'\) are not in the pool/],
    [{ isDiscarded: true }, /would be discarded/],
    [{ sizeBytes: GIB }, /have a file of 256M/],
    [{ isShared: false, path: null }, /does not have pc.ram of .*7-web as RAM/],
  ]
  for (const [change, pattern] of rows)
    assert.match(domainRamProblems([{ ...block, ...change }], DOMAIN).join('; '), pattern)
  const dimm = { ...block, id: 'memdimm0', path: `${FOLDER}/dimm0` }
  const ram = [...RAM, { name: 'dimm0', inode: 10, sizeBytes: 256 * MIB }]
  assert.deepEqual(domainRamProblems([block, dimm], { folder: FOLDER, ram }), [])
})

test('a device, an overlay or a medium that libvirt does not know is found', () => {
  const { aliases, disks } = DOMAIN.about
  assert.deepEqual(deviceProblems(['net0', 'virtio-disk0', 'vcpu1'], aliases), [])
  assert.match(
    deviceProblems(['net0', 'plugged'], aliases).join(),
    /a device 'plugged' that libvirt does not/,
  )
  const qdev = '/machine/peripheral/virtio-disk0/virtio-backend'
  const file = '/var/lib/libvirt/images/web.qcow2'
  assert.equal(diskProblem({ qdev, inserted: { file } }, disks), undefined)
  assert.equal(diskProblem({ qdev: 'virtio-disk0', inserted: { file } }, disks), undefined)
  const overlay = { file: '/tmp/overlay.qcow2' }
  assert.match(
    diskProblem({ qdev, inserted: overlay }, disks) ?? '',
    /overlay\.qcow2 in QEMU and .*web\.qcow2/,
  )
  assert.match(diskProblem({ qdev: 'virtio-disk0', inserted: overlay }, disks) ?? '', /overlay/)
  // What cannot be compared.
  assert.equal(diskProblem({ qdev, inserted: { file: 'json:{"driver":"rbd"}' } }, disks), undefined)
  assert.equal(diskProblem({ qdev: '/machine/peripheral/sata0-0-0', inserted: overlay }, disks), undefined)
  assert.equal(diskProblem({ qdev, inserted: undefined }, disks), undefined)
})

/** A QEMU that answers so. */
function answering(answers: Record<string, unknown>): QmpCommands & { readonly asked: string[] } {
  const asked: string[] = []
  const usual: Record<string, unknown> = {
    'query-status': { status: 'running', running: true },
    'query-migrate': {},
    'query-migrate-capabilities': [],
    'query-migrate-parameters': { mode: 'normal' },
    'query-memdev': [{ id: 'pc.ram', size: 256 * MIB, share: true }],
    'query-block': [],
    'query-jobs': [],
  }
  return {
    asked,
    execute: async (command, given = {}) => {
      asked.push(command)
      const { path, property } = given as { path?: string; property?: string }
      if (command in answers) return answers[command]
      if (command === 'qom-list')
        return path === '/objects' ? [{ name: 'pc.ram', type: 'child<memory-backend-file>' }] : []
      if (command === 'qom-get') return property === 'mem-path' ? `${FOLDER}/pc.ram` : false
      return usual[command] ?? {}
    },
  }
}
const examine = async (answers: Record<string, unknown>, domain = DOMAIN, isUpdated = false) =>
  await examineDomain(domain, isUpdated, answering(answers))

test('a domain that runs as its XML says passes, and leaves no setting behind', async () => {
  assert.deepEqual(await examine({}), { problems: [], privateBytes: 0, isPaused: false })
  const memdev = [
    { id: 'pc.ram', size: 256 * MIB, share: true },
    { id: 'vram', size: 16 * MIB, share: false },
  ]
  assert.equal((await examine({ 'query-memdev': memdev })).privateBytes, 16 * MIB)
})

test('each thing that keeps it from being saved is named', async () => {
  const rows: [Record<string, unknown>, RegExp][] = [
    [{ 'query-status': { status: 'io-error', running: false } }, /state 'io-error'/],
    [{ 'query-status': { status: 'suspended', running: false } }, /^it is suspended: wake it first/],
    [{ 'query-migrate': { status: 'active' } }, /a migration of it is under way \(active\)/],
    [{ 'query-migrate': { 'blocked-reasons': ['VFIO'] } }, /cannot be saved: VFIO/],
    [{ 'query-jobs': [{ id: 'j', type: 'commit' }] }, /a job of its disks runs \(commit, j\)/],
  ]
  for (const [answers, pattern] of rows) assert.match((await examine(answers)).problems.join('; '), pattern)
  assert.match((await examine({}, DOMAIN, true)).problems.join(), /'guestmemfs resume --name web' first/)
  const device = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
  const tpm = { ...DOMAIN, about: describeDomain(domainXml({ device })) }
  assert.deepEqual((await examine({}, tpm)).problems, [])
  assert.match((await examine({}, { ...tpm, isPersistent: false })).problems.join(), /'virsh define' it/)
})
