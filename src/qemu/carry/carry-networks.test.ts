/** Tests of what `info network` lists; test/vm/carried-networks.test.ts has those with a real QEMU. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OpenFile } from '../../linux/open-files.ts'
import { parseCommandLine, printCommandLine } from '../command-line.ts'
import { networkClients, networkItem } from '../machine/networks.ts'
import { carryNetworks } from './carry-networks.ts'
import { CannotCarry } from './change.ts'

function carried(told: string, files?: readonly OpenFile[]) {
  const clients = networkClients(told)
  const added = [...new Set(clients.map(networkItem))]
  const { line } = carryNetworks(parseCommandLine(['qemu']), { added, removed: [] }, clients, files)
  return printCommandLine(line).slice(1)
}
const refuse = (told: string, files?: Parameters<typeof carried>[1]) =>
  assert.throws(() => carried(`net1: index=0,${told}`, files), CannotCarry)

test('what QEMU lists completely is carried, and nothing of a NIC', () => {
  const nic = 'nic1: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\n'
  assert.deepEqual(carried(`${nic} \\ net1: index=0,type=user,net=10.0.2.0,restrict=on`), [
    ...['-netdev', 'user,id=net1,restrict=on'],
  ])
  assert.deepEqual(carried('net1: index=0,type=dgram,udp=127.0.0.1:1/127.0.0.2:2\r'), [
    '-netdev',
    'dgram,id=net1,local.type=inet,local.host=127.0.0.1,local.port=1,remote.type=inet,remote.host=127.0.0.2,remote.port=2',
  ])
})

test('what is cut off, ambiguous or not listed is refused', () => {
  refuse('type=user,net=192.168.0.0,restrict=off')
  refuse('type=stream,tcp:127.0.0.1:5000')
  refuse('type=dgram,udp=/local:/remote')
  refuse('type=dgram,mcast=230.0.0.1:5000')
  refuse('type=tap,fd=12', [])
  refuse('type=tap,helper=/usr/lib/qemu/qemu-bridge-helper', [])
  refuse('type=tap,ifname=lo,script=/a,b,downscript=no', [])
  refuse(`type=tap,ifname=lo,script=/${'a'.repeat(300)},downscript=no`, [])
})

test('a user network that QEMU made another one after is not taken out, in the order in which QEMU makes them', () => {
  const removed = ['net1: user,net=10.0.2.0,restrict=off']
  const without = (...rest: readonly string[]) =>
    printCommandLine(
      carryNetworks(
        parseCommandLine(['qemu', '-netdev', 'user,id=net1', ...rest]),
        { added: [], removed },
        [],
        [],
      ).line,
    ).slice(1)
  const json = ['-netdev', '{"type": "user", "id": "net0"}']
  assert.deepEqual(without(...json), json)
  assert.deepEqual(without('-nic', 'none'), ['-nic', 'none'])
  for (const later of [
    ['-netdev', 'user,id=net2'],
    ['-nic', 'user,id=net2'],
    ['-net', 'user'],
  ])
    assert.throws(() => without(...later), CannotCarry)
})

test('a tap whose queues or vhost-net are not known is refused', () => {
  const tap = 'type=tap,ifname=lo,script=no,downscript=no'
  const tun = { fd: 9, path: '/dev/net/tun', interfaceName: 'lo' }
  refuse(tap)
  refuse(tap, [tun, tun])
  refuse(tap, [tun, { fd: 10, path: '/dev/vhost-net', interfaceName: undefined }])
})
