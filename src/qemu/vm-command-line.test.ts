import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { QemuBinary } from './binary.ts'
import { parseCommandLine } from './command-line.ts'
import { incomingArgv, prepareCommandLine } from './vm-command-line.ts'

const BINARY: QemuBinary = {
  path: '/usr/bin/qemu-system-x86_64',
  version: '10.0.2',
  machines: [
    { name: 'pc-i440fx-10.0', alias: 'pc', 'is-default': true },
    { name: 'pc-q35-10.0', alias: 'q35' },
    { name: 'pc-q35-8.2' },
    { name: 'microvm' },
  ],
}
const PLACE = { cwd: '/tmp', mounts: ['/mnt/gm'] }
const RAM = 'memory-backend-file,id=ram,size=64M,mem-path=/mnt/gm/a,share=on'

const prepare = (...words: string[]) =>
  prepareCommandLine(parseCommandLine(['qemu-system-x86_64', ...words]), PLACE, BINARY)
function refusal(...words: string[]): string {
  try {
    prepare(...words)
    return 'accepted'
  } catch (error) {
    return (error as Error).message
  }
}

test("the seed's line: aligned, its memory in use, its machine pinned, our monitor added", () => {
  const seed = 'memory-backend-file,id=pc.ram,size=100M,mem-path=/mnt/gm/guest-ram,share=yes,prealloc=off'
  const { argv, ramFiles, machineType, notes } = prepare(
    '-object',
    seed,
    '-migrate-mode-enable',
    'cpr-reboot',
    '-nographic',
  )
  assert.deepEqual(argv, [
    '/usr/bin/qemu-system-x86_64',
    ...['-object', `${seed},align=2M`],
    '-nographic',
    ...['-machine', 'memory-backend=pc.ram'],
    ...['-machine', 'pc-i440fx-10.0'],
    ...['-chardev', 'socket,id=guestmemfs-qmp,fd=3,server=on,wait=off'],
    ...['-mon', 'chardev=guestmemfs-qmp,mode=control'],
  ])
  assert.deepEqual(ramFiles, [{ id: 'pc.ram', path: '/mnt/gm/guest-ram', sizeBytes: 100 << 20 }])
  assert.equal(machineType, 'pc-i440fx-10.0')
  assert.equal(notes.length, 2)
  assert.deepEqual(incomingArgv(argv).slice(-3), ['-S', '-incoming', 'defer'])
})

test('the machine type is pinned where it stands; the rest of the option stays', () => {
  const machineOf = (...words: string[]) => {
    const { argv, machineType } = prepare(...words, '-object', RAM)
    return [argv[argv.findIndex((word) => word === '-machine' || word === '-M') + 1], machineType]
  }
  assert.deepEqual(machineOf('-machine', 'q35,accel=tcg,memory-backend=ram'), [
    'pc-q35-10.0,accel=tcg,memory-backend=ram',
    'pc-q35-10.0',
  ])
  assert.deepEqual(machineOf('-M', 'type=q35,memory-backend=ram'), [
    'type=pc-q35-10.0,memory-backend=ram',
    'pc-q35-10.0',
  ])
  assert.deepEqual(machineOf('-machine', 'pc-q35-8.2,memory-backend=ram'), [
    'pc-q35-8.2,memory-backend=ram',
    'pc-q35-8.2',
  ])
  assert.match(refusal('-machine', 'microvm', '-object', RAM), /machine type 'microvm' has no version/)
  assert.match(refusal('-machine', 'pc-q35-42.0', '-object', RAM), /has no machine type 'pc-q35-42.0'/)
})

test('JSON objects are aligned, too; an alignment that is there is left alone', () => {
  const json = {
    'qom-type': 'memory-backend-file',
    id: 'ram',
    size: 2 ** 26,
    'mem-path': '/mnt/gm/a',
    share: true,
  }
  const { argv } = prepare('-object', JSON.stringify(json), '-machine', 'q35,memory-backend=ram')
  assert.deepEqual(JSON.parse(argv[2] as string), { ...json, align: 2 ** 21 })
  assert.ok(prepare('-object', `${RAM},align=1G`).argv.includes(`${RAM},align=1G`))
})

test('several RAM files, by NUMA node and as a DIMM', () => {
  const second = RAM.replaceAll('ram', 'two').replace('/a', '/b')
  const { ramFiles } = prepare(
    '-object',
    RAM,
    '-object',
    second,
    '-numa',
    'node,memdev=ram',
    '-numa',
    'node,memdev=two',
  )
  assert.deepEqual(
    ramFiles.map(({ path }) => path),
    ['/mnt/gm/a', '/mnt/gm/b'],
  )
  assert.match(refusal('-object', RAM, '-object', second), /would not use memory backend 'two'/)
  assert.match(
    refusal('-object', RAM, '-machine', 'q35,memory-backend=other'),
    /would not use memory backend 'ram'/,
  )
  assert.ok(
    prepare('-object', RAM, '-object', second, '-device', 'pc-dimm,memdev=two').argv.includes(
      'memory-backend=ram',
    ),
  )
})

test('the machine’s own RAM is first, then that of devices, then what other VMs may have', () => {
  const backend = (id: string, size: string): string[] => [
    '-object',
    `memory-backend-file,id=${id},size=${size},mem-path=/mnt/gm/${id},share=on`,
  ]
  const dimm = ['-device', 'pc-dimm,memdev=dimm']
  const window = ['-device', 'ivshmem-plain,id=w,memdev=window,master=on']
  const words = [
    ...backend('window', '1M'),
    ...window,
    ...backend('dimm', '64M'),
    ...dimm,
    ...backend('own', '64M'),
  ]
  const { ramFiles, argv, notes } = prepare(...words)
  assert.deepEqual(
    ramFiles.map(({ id, isShared }) => [id, isShared]),
    [
      ['own', undefined],
      ['dimm', undefined],
      ['window', true],
    ],
  )
  assert.equal(
    argv.filter((word) => word.endsWith('align=2M')).length,
    2,
    'of 1 MiB there is no page of 2 MiB',
  )
  assert.equal(notes.length, 1)
  // What the machine or another device has as well is no memory of other VMs'.
  const both = prepare(
    ...backend('own', '64M'),
    '-device',
    'ivshmem-plain,id=w,memdev=own',
    '-machine',
    'memory-backend=own',
  )
  assert.equal(both.ramFiles[0]?.isShared, undefined)
  assert.match(both.notes.join(), /ivshmem-plain 'w' needs master=on/)
  assert.match(
    refusal(
      ...backend('window', '64M'),
      ...window,
      '-object',
      'memory-backend-ram,id=own,size=64M',
      '-machine',
      'memory-backend=own',
    ),
    /the machine's own RAM would be copied/,
  )
})

test('RAM files of several mounts, and no other', () => {
  const object = (mount: string) =>
    `memory-backend-file,id=${mount},size=64M,mem-path=/mnt/${mount}/x,share=on`
  const numa = (id: string) => ['-object', object(id), '-numa', `node,memdev=${id}`]
  const line = parseCommandLine(['qemu-system-x86_64', ...numa('a'), ...numa('b')])
  const found = (...mounts: string[]) =>
    prepareCommandLine(line, { cwd: '/', mounts }, BINARY).ramFiles.map(({ path }) => path)
  assert.deepEqual(found('/mnt/a', '/mnt/b'), ['/mnt/a/x', '/mnt/b/x'])
  assert.throws(
    () => found('/mnt/a'),
    /'b' is shared and not under \/mnt\/a, and what is in it would be lost/,
  )
})

test('an option that would lose the memory, or could not be repeated, is refused in one line', () => {
  const backend = (text: string) => refusal('-object', text)
  assert.match(backend(RAM.replace('share=on', 'share=off')), /needs share=on/)
  assert.match(backend(RAM.replace(',share=on', '')), /needs share=on/)
  assert.match(backend(`${RAM},discard-data=on`), /would destroy the guest's memory/)
  assert.match(backend(`${RAM},readonly=on`), /cannot be guest RAM/)
  assert.match(backend(RAM.replace('64M', '65537K')), /size=65537K is not a multiple of 2 MiB/)
  assert.match(backend(RAM.replace('64M', 'lots')), /'lots' is not a size/)
  assert.match(backend(RAM.replace('/mnt/gm/', '/mnt/other/')), /no guest RAM under \/mnt\/gm/)
  assert.match(refusal('-mem-path', '/mnt/gm', '-m', '64M'), /-mem-path maps memory privately/)
  for (const words of [
    ['-incoming', 'defer'],
    ['-loadvm', 'x'],
    ['-snapshot'],
    ['-drive', 'file=x,snapshot=on'],
    ['-netdev', 'tap,id=n,fd=5'],
    ['-add-fd', 'fd=5,set=1'],
    ['-runas', 'nobody'],
  ]) {
    assert.match(refusal('-object', RAM, ...words), /^QEMU option -/)
  }
  assert.equal(refusal('-object', RAM, '-append', 'fd=3 incoming snapshot'), 'accepted')
})

test('run goes to the background in place of -daemonize', () => {
  const { argv, daemonize } = prepare('-object', RAM, '-daemonize')
  assert.equal(daemonize, true)
  assert.equal(argv.includes('-daemonize'), false)
  assert.equal(prepare('-object', RAM).daemonize, false)
})

test('a log that the next QEMU would empty is mentioned', () => {
  const notesOf = (...words: string[]) =>
    prepare('-object', RAM, '-machine', 'q35,memory-backend=ram', ...words).notes
  assert.match(notesOf('-serial', 'file:/tmp/log').join(), /^\/tmp\/log will be emptied/)
  assert.match(notesOf('-chardev', 'file,id=c,path=/tmp/log').join(), /^\/tmp\/log will be emptied/)
  assert.deepEqual(notesOf('-chardev', 'file,id=c,path=/tmp/log,append=on', '-serial', 'stdio'), [])
})

test('what takes the machine or the user from elsewhere is refused', () => {
  assert.match(refusal('-object', RAM, '-readconfig', 'vm.cfg'), /-readconfig takes options from a file/)
  assert.match(refusal('-object', RAM, '-set', 'device.nic.mac=1'), /-set changes what another option says/)
  assert.match(refusal('-object', RAM, '-run-with', 'user=nobody'), /-run-with user= .*run --user/)
  assert.match(refusal('-object', RAM, '-run-with', 'chroot=/srv'), /-run-with chroot= hides the mount/)
  assert.equal(refusal('-object', RAM, '-run-with', 'async-teardown=on'), 'accepted')
})

test('a confidential guest is refused, also where its RAM would be in no pool', () => {
  assert.match(refusal('-object', RAM, '-object', 'tdx-guest,id=t'), /^QEMU option -object tdx-guest makes/)
  assert.match(refusal('-m', '64M', '-machine', 'q35,confidential-guest-support=t'), /confidential guest/)
})

test('JSON that QEMU alone would read is refused: nothing in it would be seen', () => {
  const single = "{'qom-type':'memory-backend-memfd','id':'b','size':1048576}"
  assert.match(refusal('-object', RAM, '-object', single), /^QEMU option -object .* is no JSON: /)
  assert.match(
    refusal('-object', RAM, '-device', "{'driver':'vmgenid'}"),
    /^QEMU option -device .* is no JSON/,
  )
  assert.equal(refusal('-object', RAM, '-append', '{'), 'accepted')
})

test('RAM that no pool keeps is refused: shared elsewhere, or the machine’s own', () => {
  const more = (object: string) =>
    refusal('-object', RAM, '-object', object, '-machine', 'memory-backend=ram')
  assert.match(
    more('memory-backend-file,id=b,size=1M,mem-path=/dev/shm,share=on'),
    /'b' is shared and not under \/mnt\/gm/,
  )
  assert.match(more('memory-backend-memfd,id=b,size=1M'), /'b' is shared and not under \/mnt\/gm/)
  assert.equal(more('memory-backend-memfd,id=b,size=1M,share=off'), 'accepted')
  assert.equal(more('memory-backend-ram,id=b,size=1M'), 'accepted')
  assert.match(
    refusal('-object', RAM, '-device', 'nvdimm,memdev=ram'),
    /the machine's own RAM would be copied while the guest is stopped/,
  )
})

test('a QEMU that waits for a guest populates no memory', () => {
  const json = '{"qom-type":"memory-backend-ram","id":"b","size":1048576,"prealloc":true}'
  const { argv } = prepare('-object', `${RAM},prealloc=on`, '-object', json, '-mem-prealloc')
  assert.match(argv.join(' '), /prealloc=on.*"prealloc":true.*-mem-prealloc/)
  const incoming = incomingArgv(argv).join(' ')
  assert.match(incoming, /prealloc=off.*"prealloc":false/)
  assert.doesNotMatch(incoming, /mem-prealloc/)
})

test('a generation id that QEMU would generate is generated once', () => {
  const guids = (...words: string[]) => prepare('-object', RAM, ...words).argv.join(' ')
  const first = guids('-device', 'vmgenid,guid=auto,id=g')
  assert.match(first, /vmgenid,guid=[0-9a-f]{8}-[0-9a-f-]{27},id=g/)
  assert.notEqual(guids('-device', 'vmgenid,guid=auto,id=g'), first)
  assert.match(guids('-device', 'vmgenid'), /vmgenid,guid=[0-9a-f]{8}-/)
  assert.match(guids('-device', '{"driver":"vmgenid","guid":"auto"}'), /"guid":"[0-9a-f]{8}-/)
  assert.match(guids('-device', 'vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87'), /guid=324e6eaf-d1d1/)
})
