import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QemuRefusal } from '../../values/errors.ts'
import { parseCommandLine } from '../command-line.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { askOf } from './ask.ts'
import { checkHelpers, folderNotes } from './helpers.ts'
import type { Reading } from './reading.ts'

const NO_READING = { items: {} } as Reading

/**
 * A QEMU with one shared folder, `share0`, of which it reports `status`; undefined: it has no such command.
 */
function askAbout(status: object | undefined) {
  const answers: Record<string, unknown> = { '/machine/peripheral-anon': [] }
  answers['/machine/peripheral'] = [
    { name: 'share0', type: 'child<vhost-user-fs-pci>' },
    { name: 'nic0', type: 'child<virtio-net-pci>' },
  ]
  const execute = async (command: string, parameters: { path?: string } = {}) => {
    if (command === 'qom-list') return answers[parameters.path ?? '']
    if (command !== 'x-query-virtio-status' || status === undefined) throw new QemuRefusal('no such command')
    assert.equal(parameters.path, '/machine/peripheral/share0/virtio-backend')
    return status
  }
  return askOf({ execute } as Parameters<typeof askOf>[0])
}

const vm = (argv: readonly string[], before?: string[]): VmDefinition =>
  ({ argv: ['qemu-system-x86_64', ...argv], ...(before && { before }) }) as unknown as VmDefinition

const look = (status: object | undefined) => checkHelpers(askAbout(status), vm([]), NO_READING)
const offering = (protocols: string[], unknown?: number) => ({
  name: 'virtio-user-fs',
  'vhost-dev': { 'protocol-features': { protocols, ...(unknown && { 'unknown-protocols': unknown }) } },
})

test('a helper that can give its state is no problem, by name or by its bit', async () => {
  const name = 'VHOST_USER_PROTOCOL_F_DEVICE_STATE: Backend device state transfer supported'
  assert.deepEqual(await look(offering([name])), { problems: [], remarks: [] })
  assert.deepEqual(await look(offering([], 2 ** 19 + 2 ** 21)), { problems: [], remarks: [] })
})

test('one that cannot is a problem, and one of which QEMU reports nothing is named as unknown', async () => {
  for (const protocols of [[], ['VHOST_USER_PROTOCOL_F_DEVICE_STATE_TOO: something else']]) {
    const { problems, remarks } = await look(offering(protocols, 2 ** 18))
    assert.match(problems.join(), /^cannot be saved: the helper of its shared folder share0 cannot give/)
    assert.deepEqual(remarks, [])
  }
  for (const status of [undefined, { name: 'virtio-user-fs', 'vhost-started': false }]) {
    const { problems, remarks } = await look(status)
    assert.deepEqual(problems, [])
    assert.match(remarks.join(), /^its shared folder share0 is not in use yet: /)
  }
})

test('a helper that nothing starts again, and connections that end, are named', async () => {
  const line = [
    ...['-tpmdev', 'emulator,id=t,chardev=c', '-device', '{"driver":"vhost-user-fs-pci","chardev":"d"}'],
    ...['-tpmdev', 'passthrough,id=u', '-device', 'virtio-net-pci,netdev=n0'],
  ]
  const networks = ['n0: user,net=10.0.2.0', 'n1: stream', 'n2: tap,ifname=x', 'nic: nic,model=user']
  const now = { items: { networks } } as unknown as Reading
  const ask = askAbout(offering([], 2 ** 19))
  const said = async (before?: string[]) => (await checkHelpers(ask, vm(line, before), now)).remarks
  assert.deepEqual(
    (await said()).map((remark) => remark.replace(/ ends? with .*|: .*/, '')),
    [
      'the helper of a shared folder',
      'the helper of its TPM',
      'connections through its user networking n0',
      'its network n1 (stream) is connected anew',
    ],
  )
  assert.equal((await said(['swtpm'])).length, 2)
})

test('a shared folder of a guest whose RAM is a device is warned of at the start', () => {
  const notes = (store: string, device: string) =>
    folderNotes(store, parseCommandLine(['qemu-system-x86_64', '-device', device])).length
  for (const device of ['vhost-user-fs-pci,chardev=c', '{"driver":"vhost-user-fs-pci"}'])
    assert.deepEqual(
      ['dax', 'devmem', 'memfd'].map((store) => notes(store, device)),
      [1, 1, 0],
    )
  assert.equal(notes('dax', 'virtio-net-pci'), 0)
})
