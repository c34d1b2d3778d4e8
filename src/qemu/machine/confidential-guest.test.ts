/**
 * Tests of what shows that a guest which runs is a confidential one; answers as QEMU 9.1 and newer give them.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QemuError, QemuRefusal } from '../../values/errors.ts'
import { askOf } from './ask.ts'
import { confidentialProblems } from './confidential-guest.ts'

interface Machine {
  /** Type by id. */
  readonly objects?: Readonly<Record<string, string>>
  /** undefined: this QEMU's machine has no such property. */
  readonly link?: string
  /** undefined: this QEMU has no such command. */
  readonly sev?: object
  /** Ids of memory backends whose `guest-memfd` is on; undefined: no backend has that property. */
  readonly guestMemfds?: readonly string[]
}

/** Of `-accel tcg`: QEMU fills in the rest of the structure all the same. */
const NO_SEV = {
  ...{ enabled: false, 'api-major': 0, 'api-minor': 0, 'build-id': 0 },
  ...{ state: 'uninit', 'sev-type': 'sev', policy: 0, handle: 0 },
}
const SNP = {
  ...{ enabled: true, 'api-major': 1, 'api-minor': 55, 'build-id': 21 },
  ...{ state: 'running', 'sev-type': 'sev-snp', 'snp-policy': 196608 },
}
const RAM = { 'pc.ram': 'memory-backend-file' }

function askAbout({ objects = RAM, link, sev, guestMemfds }: Machine) {
  const execute = async (command: string, parameters: { path?: string; property?: string } = {}) => {
    const { path = '', property } = parameters
    if (command === 'query-sev' && sev !== undefined) return sev
    if (command === 'qom-list') {
      assert.equal(path, '/objects')
      const children = Object.entries(objects).map(([name, type]) => ({ name, type: `child<${type}>` }))
      return [{ name: 'type', type: 'string' }, ...children]
    }
    if (command === 'qom-get' && property === 'guest-memfd' && guestMemfds !== undefined)
      return guestMemfds.includes(path.replace('/objects/', ''))
    if (command === 'qom-get' && property === 'confidential-guest-support' && link !== undefined) {
      assert.equal(path, '/machine')
      return link
    }
    throw new QemuRefusal(`${command} ${property}: not found`)
  }
  return askOf({ execute } as Parameters<typeof askOf>[0])
}

const problemsOf = (machine: Machine) => confidentialProblems(askAbout(machine))

test('an ordinary guest is none, also of a QEMU without these commands and properties', async () => {
  assert.deepEqual(await problemsOf({ link: '', sev: NO_SEV, guestMemfds: [] }), [])
  assert.deepEqual(await problemsOf({}), [])
})

test('each object that makes a guest confidential is named with its reason, in one line', async () => {
  for (const [type, reason] of [
    ['sev-guest', /encrypted with a key .* the secure processor's guests preserved across kexec/],
    ['sev-snp-guest', /guest_memfd, which is in no file system.* preserved across kexec .*LUO/],
    ['tdx-guest', /guest_memfd, which is in no file system.* the guests of the TDX module/],
    ['s390-pv-guest', /memory is the Ultravisor's/],
  ] as const) {
    const objects = { ...RAM, cgs0: type }
    const [line = '', ...more] = await problemsOf({ objects, link: '/objects/cgs0', sev: NO_SEV })
    assert.match(line, new RegExp(`^its object 'cgs0' \\(${type}\\) makes it a confidential guest \\(`))
    assert.match(line, reason)
    assert.deepEqual([line.includes('\n'), more], [false, []])
  }
})

test('one of a type that is not known here is one by the link of the machine alone', async () => {
  const objects = { ...RAM, realm0: 'some-new-guest' }
  const [line = ''] = await problemsOf({ objects, link: '/objects/realm0', sev: NO_SEV })
  assert.match(line, /^its object \/objects\/realm0 makes it a confidential guest \(of a kind that is not/)
})

test('so is one of which only query-sev tells it', async () => {
  assert.match(
    (await problemsOf({ link: '', sev: SNP })).join(),
    /^QEMU says that it is a confidential guest/,
  )
})

test('RAM of guest_memfd without such an object is named', async () => {
  const objects = { 'pc.ram': 'memory-backend-memfd', dimm: 'memory-backend-file' }
  const [line = '', ...more] = await problemsOf({ objects, link: '', sev: NO_SEV, guestMemfds: ['dimm'] })
  assert.match(line, /^its RAM 'dimm' is guest_memfd, which is in no file system: .* preserved across kexec/)
  assert.deepEqual(more, [])
})

test('a QEMU that does not answer is not taken for one that refuses', async () => {
  const execute = async (command: string) => {
    if (command !== 'query-sev') return command === 'qom-list' ? [] : ''
    throw new QemuError('QEMU closed it')
  }
  const ask = askOf({ execute } as Parameters<typeof askOf>[0])
  await assert.rejects(confidentialProblems(ask), /QEMU closed it/)
})
