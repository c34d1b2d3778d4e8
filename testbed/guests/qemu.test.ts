/** Tests of the guests' command lines. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type GuestOptions, guestCommand, seedCommand } from './qemu.ts'

/** One option with its value each, as a shell takes it. */
const options = (line: string): string[] => line.replaceAll('\\\n', ' ').split(/\s+(?=-)/)
const lineOf = (choice: Partial<GuestOptions> = {}): string[] =>
  options(guestCommand({ name: 'first', mebibytes: 128, ...choice }))

const PLAIN = [
  'qemu-system-x86_64',
  '-machine q35,memory-backend=pc.ram',
  '-accel kvm',
  '-cpu host',
  '-m 128M',
  '-object memory-backend-file,id=pc.ram,size=128M,mem-path=/mnt/guestmemfs/first-ram,share=on,prealloc=off',
  '-no-reboot',
  '-no-shutdown',
  '-nodefaults',
  '-display none',
  '-kernel /opt/testbed/files/first',
  '-chardev file,id=serial,path=/run/testbed/logs/first,append=on',
  '-serial chardev:serial',
]

/** What `choice` changes in the plain line: removed options, and added ones. */
function changes(choice: Partial<GuestOptions>): { gone: string[]; come: string[] } {
  const line = lineOf(choice)
  return {
    gone: PLAIN.filter((option) => !line.includes(option)),
    come: line.filter((option) => !PLAIN.includes(option)),
  }
}

test('a guest has its RAM file, its kernel and its log by its name', () => {
  assert.deepEqual(lineOf(), PLAIN)
})

test('each choice changes its own options alone', () => {
  assert.deepEqual(changes({ machine: 'q35' }), {
    gone: ['-machine q35,memory-backend=pc.ram'],
    come: ['-machine q35'],
  })
  assert.deepEqual(changes({ cpu: 'host,kvm=off', kernel: 'tiny-guest' }), {
    gone: ['-cpu host', '-kernel /opt/testbed/files/first'],
    come: ['-cpu host,kvm=off', '-kernel /opt/testbed/files/tiny-guest'],
  })
  assert.deepEqual(changes({ ram: '/mnt/dax/ram', prealloc: true }).come, [
    '-object memory-backend-file,id=pc.ram,size=128M,mem-path=/mnt/dax/ram,share=on,prealloc=on',
  ])
  assert.deepEqual(changes({ serial: 'stdio' }), { gone: PLAIN.slice(-2), come: ['-serial stdio'] })
  assert.deepEqual(changes({ words: '-append quiet' }), { gone: [], come: ['-append quiet'] })
})

test("RAM that is QEMU's own has no backend", () => {
  assert.deepEqual(changes({ ram: 'anonymous' }), {
    gone: [PLAIN[1], ...PLAIN.slice(5, 8)],
    come: ['-machine q35'],
  })
})

test('the name may be a specifier of systemd: a unit takes the line as it is', () => {
  const line = guestCommand({ name: '%i', mebibytes: 128 })
  assert.deepEqual(options(line.replaceAll('%i', 'first')), PLAIN)
  for (const each of line.split('\n').slice(0, -1)) assert.match(each, /\\$/)
})

test("the seed's line is the seed's", () => {
  assert.deepEqual(options(seedCommand()), [
    'qemu-system-x86_64',
    '-machine pc-q35-10.0,memory-backend=pc.ram',
    '-accel kvm',
    '-cpu host',
    '-m 500M',
    '-object memory-backend-file,id=pc.ram,size=500M,mem-path=/mnt/guestmemfs/guest-ram,align=2M,share=on,prealloc=off',
    '-nodefaults',
    '-display none',
    '-serial stdio',
    '-monitor unix:/run/guest.monitor,server,nowait',
    '-kernel /opt/testbed/files/tiny-guest',
  ])
  const window = seedCommand({ memPath: '/dev/mem,offset=4096', mebibytes: 128 })
  assert.match(window, / -m 128M .*size=128M,mem-path=\/dev\/mem,offset=4096,align=2M/s)
})
