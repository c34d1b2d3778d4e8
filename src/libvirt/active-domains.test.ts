import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { QemuError } from '../values/errors.ts'
import { activeDomains, type DomainHost } from './active-domains.ts'
import { hookProblem } from './hook-check.ts'
import { adviceFor, checkLibvirt } from './set-up.ts'
import { domainXml } from './testing/domain-xml.ts'

const RAM = [{ name: 'pc.ram', inode: 9, sizeBytes: 4096 }]
const uuidOf = (number: number): string => `00000000-0000-0000-0000-00000000000${number}`

function newHost(t: TestContext): { host: DomainHost; folder: (name: string) => string } {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'domains-')))
  t.after(() => rmSync(root, { recursive: true }))
  const folder = (name: string): string => {
    mkdirSync(join(root, name), { recursive: true })
    return join(root, name)
  }
  const host = {
    stateFolder: folder('state'),
    qemuConf: join(root, 'qemu.conf'),
    mountPoints: () => [join(root, 'pool'), join(root, 'pool/inner')],
    ramIn: () => RAM,
  }
  folder('pool/inner')
  return { host, folder }
}

const LONG = 'a-name-of-more-than-twenty-characters'

test('a host on which libvirt runs nothing is not asked at all', async (t) => {
  const { host } = newHost(t)
  const found = await activeDomains(() => Promise.reject(new Error('asked')), host)
  assert.deepEqual(found, { ours: [], others: [], problems: [] })
})

test('domains in a pool, domains that cannot be, and one that ends meanwhile', async (t) => {
  const { host, folder } = newHost(t)
  writeFileSync(join(host.stateFolder, 'web.xml'), '')
  writeFileSync(join(host.stateFolder, 'web.pid'), '4711\n')
  writeFileSync(host.qemuConf, `memory_backing_dir = "${folder('pool/inner/below')}"\n`)
  folder('pool/inner/below/libvirt/qemu/1-web')
  folder(`pool/libvirt/qemu/2-${LONG.slice(0, 20)}`)
  const xml: Record<string, string> = {
    [uuidOf(1)]: domainXml({ uuid: uuidOf(1), id: 1 }),
    [uuidOf(2)]: domainXml({ uuid: uuidOf(2), id: 2, name: LONG }),
    [uuidOf(3)]: domainXml({ uuid: uuidOf(3), id: 3, name: 'private', backing: '' }),
    [uuidOf(4)]: domainXml({ uuid: uuidOf(4), id: 4, name: 'elsewhere' }),
    [uuidOf(5)]: domainXml({ uuid: uuidOf(5), id: undefined, name: 'gone' }),
    [uuidOf(6)]: '<no/>',
  }
  const run = async (words: readonly string[]): Promise<string> => {
    if (words[0] === 'list')
      return words.includes('--persistent') ? `${uuidOf(1)}\n` : `${Object.keys(xml).join('\n')}\n\n`
    return xml[words.at(-1) ?? ''] ?? ''
  }
  const { ours, others, problems } = await activeDomains(run, host)
  assert.deepEqual(
    ours.map(({ about, isPersistent, pid, mountPoint, folder: at }) => [
      about.name,
      isPersistent,
      pid,
      mountPoint.split('/').at(-1),
      at.split('/').at(-1),
    ]),
    [
      [LONG, false, undefined, 'pool', `2-${LONG.slice(0, 20)}`],
      ['web', true, 4711, 'inner', '1-web'],
    ],
  )
  assert.deepEqual(
    others.map(({ name, whyNot }) => [name, whyNot.slice(0, 24)]),
    [
      ['private', 'its RAM is private to QE'],
      ['elsewhere', 'its RAM is in no pool: i'],
    ],
  )
  assert.match(
    problems.join(),
    /^domain 00000000-0000-0000-0000-000000000006: XML of libvirt that is of no domain$/,
  )
})

test('a libvirt that does not answer while it has domains is one line', async (t) => {
  const { host } = newHost(t)
  writeFileSync(join(host.stateFolder, 'web.xml'), '')
  const { problems } = await activeDomains(() => Promise.reject(new QemuError('virsh list: no')), host)
  assert.deepEqual(problems, ['libvirt has domains that run, and does not answer: virsh list: no'])
})

test('a hook that the daemon may not know is found before an update needs it', () => {
  const times = { installedMs: 50_000, calledMs: undefined, daemonStartMs: 60_000 }
  assert.equal(hookProblem(times), undefined)
  assert.equal(hookProblem({ ...times, daemonStartMs: undefined }), undefined)
  assert.match(hookProblem({ ...times, installedMs: undefined }) ?? '', /install --libvirt/)
  const older = { ...times, daemonStartMs: 40_000 }
  assert.match(hookProblem(older) ?? '', /systemctl restart libvirtd/)
  assert.equal(hookProblem({ ...older, calledMs: 45_000 }), undefined)
  // It called the hook of a former boot, or an older daemon did.
  assert.match(hookProblem({ ...older, calledMs: 30_000 }) ?? '', /systemctl restart libvirtd/)
})

test('install refuses a libvirt that is not there or calls no hooks of a folder', async () => {
  for (const version of ['6.5.0\n', '9.0.0\n', '11.3.0\n', '12.9.0\n'])
    await checkLibvirt(async () => version)
  for (const version of ['6.4.0\n', '5.10.0\n', ''])
    await assert.rejects(
      checkLibvirt(async () => version),
      /it needs 6\.5 or newer/,
    )
  await assert.rejects(
    checkLibvirt(() => Promise.reject(new QemuError('virsh is not installed'))),
    /virsh is not installed: install libvirt-daemon-system/,
  )
})

test('what is to be set is printed as it is to be typed', () => {
  const pool = { mountPoint: '/mnt/guestmemfs', isCarveOut: false }
  const [first, second, third, ...rest] = adviceFor('', [pool])
  assert.deepEqual(
    [first, second, rest],
    ['set in /etc/libvirt/qemu.conf:', '    memory_backing_dir = "/mnt/guestmemfs"', []],
  )
  assert.match(third ?? '', /^'systemctl restart libvirtd'/)
  assert.equal(adviceFor('memory_backing_dir = "/mnt/guestmemfs"\n', [pool]).length, 1)
  assert.match(adviceFor('', [{ ...pool, isCarveOut: true }]).at(-1) ?? '', /<emulator>.*<\/emulator>$/)
})
