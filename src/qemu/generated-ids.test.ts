/** Tests of values that QEMU would generate; test/vm/carried-nics.test.ts has them with a real QEMU. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommandLine, printCommandLine } from './command-line.ts'
import { fixIdentities } from './generated-ids.ts'

const fixed = (...words: string[]): string[] =>
  printCommandLine(fixIdentities(parseCommandLine(['qemu', ...words]))).filter((word) => /mac/.test(word))

test('NICs are numbered as QEMU does it: -nic, -net nic, devices, and those in JSON last', () => {
  assert.deepEqual(
    fixed(
      ...['-device', '{"driver":"e1000","id":"j"}', '-device', 'virtio-net-pci,id=d', '-device', 'VGA'],
      ...['-net', 'nic,model=rtl8139', '-net', 'user', '-nic', 'user,model=e1000', '-nic', 'none'],
    ),
    [
      '{"driver":"e1000","id":"j","mac":"52:54:00:12:34:59"}',
      'virtio-net-pci,id=d,mac=52:54:00:12:34:58',
      'nic,model=rtl8139,macaddr=52:54:00:12:34:57',
      'user,model=e1000,mac=52:54:00:12:34:56',
    ],
  )
})

test('an address that is given counts, and stays as it was typed', () => {
  assert.deepEqual(
    fixed(
      '-device',
      'e1000,mac=52:54:00:12:34:56',
      '-device',
      'igb',
      '-device',
      'pcnet,mac=02-00-00-00-00-01',
    ),
    ['e1000,mac=52:54:00:12:34:56', 'igb,mac=52:54:00:12:34:57', 'pcnet,mac=02-00-00-00-00-01'],
  )
  // QEMU has a NIC of its own then.
  assert.deepEqual(fixed('-device', 'igb'), ['igb,mac=52:54:00:12:34:57'])
  assert.deepEqual(fixed('-nodefaults', '-device', 'igb'), ['igb,mac=52:54:00:12:34:56'])
})

test('one that is given for a whole type is not replaced', () => {
  for (const option of ['e1000.mac=02:00:00:00:00:01', 'driver=e1000,property=mac,value=02:00:00:00:00:01'])
    assert.deepEqual(fixed('-global', option, '-device', 'e1000').slice(1), [])
})
