import assert from 'node:assert/strict'
import { test } from 'node:test'
import { E820 } from '../../linux/memmap.ts'
import { checkCommandLine, nextCommandLine } from './next-command-line.ts'

const G = 2 ** 30
const FIRMWARE = [
  { start: 0, end: 2 * G, type: E820.RAM },
  { start: 4 * G, end: 8 * G, type: E820.RAM },
]
const CARVED = 'memmap=1G%4G-1+0xefffffff'
const CURRENT = `console=ttyS0 root=/dev/vda ${CARVED} modprobe.blacklist=kmem`
const REGION = { start: 4 * G, lengthBytes: G }

const refusals = (next: string, current = CURRENT, regions = [REGION]): string[] =>
  checkCommandLine({ current, next, firmware: FIRMWARE, regions })
    .filter(({ severity }) => severity === 'error')
    .map(({ message }) => message)

test("kexec's meaning of --append and --reuse-cmdline, and the running kernel's line where neither is given", () => {
  const current = 'BOOT_IMAGE=/vmlinuz root=/dev/vda initrd=/initrd.img quiet'
  const next = (append: string | undefined, reuses: boolean) => nextCommandLine(current, { append, reuses })
  assert.equal(next(undefined, false), 'root=/dev/vda quiet')
  assert.equal(next(undefined, true), next(undefined, false))
  assert.equal(next(' root=/dev/vdb ', false), 'root=/dev/vdb')
  assert.equal(next('debug', true), `${next(undefined, false)} debug`)
  assert.equal(nextCommandLine('a=1 -- b', { append: 'c', reuses: true }), 'a=1 c -- b')
  assert.equal(nextCommandLine('-- b', { append: 'c', reuses: true }), 'c -- b')
  assert.equal(nextCommandLine('a="x -y" b--c', { append: 'c', reuses: true }), 'a="x -y" b--c c')
})

test('the same line is safe', () => {
  assert.deepEqual(refusals(CURRENT), [])
  assert.deepEqual(refusals(`${CURRENT} debug`), [])
  assert.deepEqual(refusals(`root=/dev/vda ${CARVED} nokaslr module_blacklist=x,kmem`), [])
})

test('no carve-out, another place, size or type: refused, with the word that is missing', () => {
  for (const word of [
    '',
    'memmap=1G%5G-1+0xefffffff',
    'memmap=2G%4G-1+0xefffffff',
    'memmap=512M%4G-1+0xefffffff',
    'memmap=1G%4G-1+12',
    'memmap=1G$4G',
    `${CARVED} memmap=512M$4G`,
    'memmap=1G%4G-1+0xeffffffe',
  ]) {
    const [message, ...more] = refusals(`root=/dev/vda modprobe.blacklist=kmem nokaslr ${word}`)
    assert.match(
      message ?? '',
      /^the carve-out of 1G at 4G holds the guests.*give it memmap=1G%4G-1\+0xefffffff/,
    )
    assert.deepEqual(more, [], word)
  }
  assert.match(
    refusals('nokaslr modprobe.blacklist=kmem memmap=2G%4G-1+0xefffffff')[0] ?? '',
    /sets aside 2G at 4G instead/,
  )
})

test('a carve-out that the firmware made needs no word', () => {
  const firmware = [...FIRMWARE, { start: 8 * G, end: 9 * G, type: E820.SOFT_RESERVED }]
  const check = { current: 'a', firmware, regions: [{ start: 8 * G, lengthBytes: G }] }
  assert.deepEqual(checkCommandLine({ ...check, next: 'nokaslr modprobe.blacklist=kmem' }), [])
})

test('a reserved range must be reserved again, to the byte, and nothing of it taken back', () => {
  const word = 'memmap=1G$4G'
  const refusalsOf = (next: string) =>
    checkCommandLine({ current: word, next, firmware: FIRMWARE, regions: [], reserved: [REGION] })
      .filter(({ severity }) => severity === 'error')
      .map(({ message }) => message)
  assert.deepEqual(refusalsOf(`root=/dev/vda ${word}`), [], 'KASLR keeps out of it by itself')
  assert.deepEqual(refusalsOf(`root=/dev/vda memmap=64M$7G,1G$4G`), [])
  for (const next of ['', 'memmap=1G$5G', 'memmap=2G$4G', 'memmap=512M$4G memmap=512M$4608M', CARVED]) {
    const [message, ...more] = refusalsOf(`root=/dev/vda ${next}`)
    assert.match(message ?? '', /^the reserved range of 1G at 4G holds the guests.*give it memmap=1G\$4G/)
    assert.deepEqual(more, [], next)
  }
  assert.equal(
    refusalsOf(`root=/dev/vda ${word} memmap=512M%4G-2+1`).length,
    1,
    'a part of it made RAM again',
  )
  const four = ['1M$1M', '1M$3M', '1M$5M', '1M$7M'].map((each) => `memmap=${each}`).join(' ')
  assert.match(refusalsOf(`root=/dev/vda ${four} ${word}`)[0] ?? '', /KASLR/, 'a fifth range is one too many')
})

test('KASLR may place the kernel in a carve-out that it reads as a limit', () => {
  const large = 'memmap=3G%4G-1+0xefffffff'
  const line = `root=/dev/vda modprobe.blacklist=kmem ${large}`
  assert.deepEqual(refusals(line, line, [{ start: 4 * G, lengthBytes: 3 * G }]), [])
  const low = 'memmap=3G%1G-1+0xefffffff'
  const unsafe = `root=/dev/vda modprobe.blacklist=kmem ${low}`
  const region = [{ start: G, lengthBytes: G }]
  assert.match(refusals(unsafe, unsafe, region)[0] ?? '', /may put itself into the carve-out at 1G \(KASLR\)/)
  assert.deepEqual(refusals(`${unsafe} nokaslr`, unsafe, region), [])
})

test('of several carve-outs each must be there again, and one word keeps KASLR out of all', () => {
  const both = 'memmap=3G%4G-1+0xefffffff memmap=3G%1G-1+0xefffffff'
  const line = `root=/dev/vda modprobe.blacklist=kmem ${both}`
  const regions = [
    { start: 4 * G, lengthBytes: 3 * G },
    { start: G, lengthBytes: G },
  ]
  const [exposed, ...more] = refusals(line, line, regions)
  assert.match(exposed ?? '', /carve-out at 1G \(KASLR\): add memmap=1G%0-0xeffffffe\+1, or nokaslr, to/)
  assert.deepEqual(more, [], 'the other one is above what KASLR takes for a limit')
  const safe = `${line} memmap=1G%0-0xeffffffe+1`
  assert.deepEqual(refusals(safe, safe, regions), [])
  const one = safe.replace('memmap=3G%4G-1+0xefffffff ', '')
  assert.match(refusals(one, safe, regions)[0] ?? '', /^the carve-out of 3G at 4G holds the guests/)
})

test('the kmem driver must be kept away where there is a carve-out', () => {
  assert.match(refusals(`root=/dev/vda ${CARVED}`)[0] ?? '', /kmem driver .* add modprobe\.blacklist=kmem/)
  assert.deepEqual(refusals('root=/dev/vda', CURRENT, []), [])
})

test('a line without root=, and words that the kernel does not understand, are mentioned', () => {
  const next = `${CARVED} modprobe.blacklist=kmem memmap=1G%5G-1+x`
  const findings = checkCommandLine({ current: CURRENT, next, firmware: FIRMWARE, regions: [REGION] })
  assert.deepEqual(
    findings.map(({ severity }) => severity),
    ['warn', 'warn'],
  )
})
