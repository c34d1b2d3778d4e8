/** Tests of the refusal of a confidential guest's command line, spelling by spelling. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseCommandLine } from './command-line.ts'
import { CONFIDENTIAL_KINDS, refuseConfidential } from './confidential.ts'

/** The message, or `accepted`. */
function refusal(...words: string[]): string {
  try {
    refuseConfidential(parseCommandLine(['qemu-system-x86_64', ...words]))
    return 'accepted'
  } catch (error) {
    return (error as Error).message
  }
}

test('each type of object is refused with what it is, where its memory is and what would be needed', () => {
  for (const { type, technology, memory, needs } of CONFIDENTIAL_KINDS) {
    const line = refusal('-object', `${type},id=cgs0`)
    assert.equal(
      line,
      `QEMU option -object ${type} makes a confidential guest (${technology}), and its ${memory}: an update of it would need ${needs}`,
    )
    assert.ok(!line.includes('\n'))
  }
})

test('however the object is spelled', () => {
  for (const words of [
    ['-object', 'qom-type=sev-snp-guest,id=s'],
    ['-object', 'id=s,qom-type=sev-snp-guest'],
    ['--object', 'sev-snp-guest,id=s,policy=0x30000,cbitpos=51,reduced-phys-bits=1'],
    ['-object', '{"qom-type":"sev-snp-guest","id":"s","cbitpos":51}'],
    ['-object', '{"id":"s","qom-type":"\\u0073ev-snp-guest"}'],
    ['-object', 'iothread,qom-type=sev-snp-guest,id=s'],
    ['-object', 'iothread,id=i', '-object', 'sev-snp-guest,id=s'],
  ])
    assert.match(refusal(...words), /^QEMU option -object sev-snp-guest makes a confidential guest/, words[1])
})

test('the words of the machine, also the former one, in any of its options', () => {
  for (const [words, named] of [
    [['-machine', 'q35,confidential-guest-support=tdx0'], 'machine confidential-guest-support=tdx0'],
    [['-M', 'q35,memory-encryption=sev0'], 'M memory-encryption=sev0'],
    [['-machine', 'q35', '-machine', 'memory-encryption=sev0'], 'machine memory-encryption=sev0'],
    [['-machine', 'q35,kernel-irqchip=split,kvm-type=tdx'], 'machine kvm-type=tdx'],
    [['-machine', 'q35,kvm-type=sw-protected'], 'machine kvm-type=sw-protected'],
  ] as const) {
    const line = refusal(...words)
    assert.ok(line.startsWith(`QEMU option -${named} makes a confidential guest`), line)
    assert.match(line, /in no file system: an update of it would need guest_memfd preserved across kexec/)
  }
  assert.equal(refusal('-machine', 'pseries,kvm-type=HV'), 'accepted')
  assert.equal(refusal('-machine', 'q35,memory-backend=ram,kernel-irqchip=split'), 'accepted')
})

test('defaults that are set by -global', () => {
  for (const value of [
    'sev-guest.policy=3',
    'driver=tdx-guest,property=attributes,value=1',
    'pc-q35-10.0-machine.memory-encryption=sev0',
    'driver=q35-machine,property=confidential-guest-support,value=sev0',
    'memory-backend-memfd.guest-memfd=on',
  ])
    assert.match(refusal('-global', value), /^QEMU option -global \S+ makes a confidential guest/, value)
  assert.equal(refusal('-global', 'ICH9-LPC.disable_s3=1'), 'accepted')
  assert.equal(refusal('-global', 'driver=virtio-net-pci,property=romfile,value='), 'accepted')
})

test('RAM that is guest_memfd by a property of its backend, or by its type', () => {
  const ram = 'memory-backend-memfd,id=ram,size=64M'
  for (const value of [
    `${ram},guest-memfd=on`,
    `${ram},guest-memfd`,
    `memory-backend-file,id=ram,size=64M,mem-path=/mnt/gm/a,share=on,guest-memfd=yes`,
    '{"qom-type":"memory-backend-memfd","id":"ram","size":67108864,"guest-memfd":true}',
    'memory-backend-guest-memfd,id=ram,size=64M',
    'memory-backend-memfd-private,id=ram,size=64M',
  ])
    assert.match(
      refusal('-object', value),
      /^RAM of QEMU option -object memory-backend-\S+ is guest_memfd/,
      value,
    )
  assert.equal(refusal('-object', `${ram},guest-memfd=off`), 'accepted')
  assert.equal(refusal('-object', ram), 'accepted')
})

test('what only looks like it is accepted: other options, ids and names', () => {
  assert.equal(refusal('-append', 'sev-guest', '-name', 'sev-snp-guest'), 'accepted')
  assert.equal(refusal('-object', 'iothread,id=sev-guest', '-object', 'rng-random,id=tdx-guest'), 'accepted')
  assert.equal(refusal('-netdev', 'user,id=tdx-guest'), 'accepted')
})

test('docs/reference/machine.md has the table', () => {
  const page = readFileSync(new URL('../../docs/reference/machine.md', import.meta.url), 'utf8')
  const lines = page.split('\n').map((line) => line.replace(/ +\|/g, ' |'))
  for (const { type, technology, memory, needs } of CONFIDENTIAL_KINDS) {
    const row = `| \`${type}\` | ${technology} | ${memory} | ${needs} |`
    assert.ok(lines.includes(row), `the page lacks: ${row}`)
  }
})
