/** Tests of `reserve`: where carve-outs go on three machines, which words they take, what is refused. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import fc from 'fast-check'
import { E820, memoryOptions } from '../linux/memmap.ts'
import { splitCommandLine } from '../linux/memory-info.ts'
import { covers, totalBytes } from '../linux/memory-ranges.ts'
import { UsageError } from '../values/errors.ts'
import { parseSize } from '../values/size.ts'
import { carveOuts, KMEM_WORD } from './carve-out.ts'
import { kaslrMayLandIn } from './kaslr.ts'
import type { MachineMemory } from './machine-memory.ts'
import { applyMemoryOptions, rangesOfType, softReserved } from './memory-map.ts'
import { grubbyCommand, grubFile, kernelInstallFile, kexecCommand } from './reserve-loaders.ts'
import type { PlaceRequest } from './reserve-place.ts'
import { type PlannedRange, planReserve, type ReservePlan, type ReserveRequest } from './reserve-plan.ts'
import { LAPTOP, Q35, SERVER } from './testing/machines.ts'

const G = 2 ** 30
const M = 2 ** 20
const LINE = 'BOOT_IMAGE=/vmlinuz root=/dev/vda ro quiet'

type More = Partial<Omit<ReserveRequest, 'places'> & Pick<PlaceRequest, 'at' | 'node'>>

function several(memory: MachineMemory, places: readonly PlaceRequest[], more: More = {}, line = LINE) {
  const { replace = false, type = 'soft-reserved' } = more
  return planReserve(memory, line, { places, replace, type })
}
/** Of one carve-out. */
function plan(memory: MachineMemory, size: string, more: More = {}, line = LINE) {
  const place = { sizeBytes: parseSize(size, 'size'), at: more.at, node: more.node }
  const made = several(memory, [place], more, line)
  assert.equal(made.ranges.length, 1)
  return { ...made, ...(made.ranges[0] as PlannedRange) }
}
function refusal(memory: MachineMemory, size: string, more: More = {}, line = LINE): string {
  try {
    plan(memory, size, more, line)
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error))
    assert.ok(!error.message.includes('\n'))
    return error.message
  }
  return 'not refused'
}

test('the testbed: above 4 GiB, in 1 GiB steps, and KASLR needs no word', () => {
  const { range, alignBytes, addWords, commandLine, kexec, nodes, hostKeepsBytes, notes } = plan(Q35, '1G')
  // The running kernel lies at 4.6 GiB, and there is room beside it.
  assert.deepEqual([range, alignBytes, nodes], [{ start: 5 * G, lengthBytes: G }, G, [0]])
  assert.deepEqual(addWords, ['memmap=1G%5G-1+0xefffffff', KMEM_WORD])
  assert.equal(commandLine, `root=/dev/vda ro quiet ${addWords.join(' ')}`)
  assert.deepEqual([kexec, notes], [true, []])
  assert.ok(hostKeepsBytes > 2.9 * G && hostKeepsBytes < 3 * G)
})

test('the testbed: all that lies above 4 GiB, where the kernel is now; no more than the host can spare', () => {
  const { range, notes } = plan(Q35, '2G')
  assert.deepEqual(range, { start: 4 * G, lengthBytes: 2 * G })
  assert.match(notes.join('\n'), /running kernel lies in it now, at 4734M: the next boot puts it elsewhere/)
  assert.match(
    refusal(Q35, '2050M'),
    /no 2050M of free RAM in one piece above 1G: the longest piece is 2G at 4G/,
  )
  assert.match(refusal(Q35, '3G'), /of 4\.0G of RAM the host must keep 1\.0G; at most 3024M can go/)
})

test('reserved memory: a word of its own, none for kmem or KASLR, and nothing of the host for its pages', () => {
  const hidden = plan(LAPTOP, '12G', { type: 'reserved' })
  assert.deepEqual(hidden.addWords, ['memmap=12G$4G'])
  assert.match(hidden.notes.join('\n'), /hidden: no struct pages, not in the kernel's direct map/)
  assert.match(grubFile(hidden).text, /memmap=12G\\\$4G/, 'GRUB takes a bare $ for a variable')
  const again = plan(LAPTOP, '12G', { type: 'reserved', replace: true }, hidden.commandLine)
  assert.deepEqual(again.addWords, ['memmap=12G$4G'])
  assert.match(
    refusal(LAPTOP, '1G', { at: 5 * G }, hidden.commandLine),
    /overlaps 12G at 4G: a range that memmap= reserves/,
  )
  const kept = 'root=/dev/vda memmap=4K$0x12345000'
  assert.match(
    plan(LAPTOP, '4G', { type: 'reserved', replace: true }, kept).commandLine,
    /memmap=4K\$0x12345000 /,
  )
})

test('a laptop: START below SIZE takes a ceiling, so that KASLR stays below', () => {
  const small = plan(LAPTOP, '6G')
  assert.deepEqual([small.range.start, small.addWords.length], [11 * G, 2], 'past the kernel of the moment')
  const { range, addWords, notes, kexec } = plan(LAPTOP, '12G')
  assert.equal(range.start, 4 * G)
  assert.deepEqual(addWords, ['memmap=12G%4G-1+0xefffffff', 'memmap=4G%0-0xeffffffe+1', KMEM_WORD])
  assert.match(notes.join('\n'), /changes no memory/)
  assert.equal(kexec, true)
  assert.match(refusal(LAPTOP, '15G'), /is too much/)
})

test('a server: in one memory node, and beside what was put there', () => {
  assert.deepEqual(plan(SERVER, '160G').nodes, [1])
  const first = plan(SERVER, '160G', { node: 0 })
  assert.deepEqual([first.range.start, first.nodes], [4 * G, [0]])
  assert.deepEqual(plan(SERVER, '100G').range.start, 194 * G, 'where KASLR needs no word')
  const second = plan(SERVER, '160G', { node: 1 }, first.commandLine)
  assert.deepEqual([second.range.start, second.nodes], [194 * G, [1]])
  assert.deepEqual(second.addWords, ['memmap=160G%194G-1+0xefffffff'])
  const across = plan(SERVER, '300G')
  assert.deepEqual(across.nodes, [0, 1])
  assert.match(across.notes.join('\n'), /memory nodes 0, 1, and is treated as node 0/)
  assert.match(refusal(SERVER, '192G', { node: 0 }), /in memory node 0: the longest piece is 190G at 4G/)
  assert.match(refusal(SERVER, '1G', { node: 2 }), /no memory node 2 on this machine: there are 0, 1/)
})

test('a carve-out may take a crash kernel’s place, unless the command line fixes that', () => {
  const at = 0x3060000000
  assert.match(plan(SERVER, '64M', { at }).notes.join('\n'), /running crash kernel lies in it now/)
  assert.match(
    refusal(SERVER, '64M', { at }, `${LINE} crashkernel=512M@0x305f000000`),
    /overlaps 512M at .*: the crash kernel/,
  )
})

test('addresses that cannot be had', () => {
  assert.match(refusal(LAPTOP, '1G', { at: 4 * G + 4096 }), /0x100001000 is not a multiple of 2M/)
  assert.match(refusal(LAPTOP, '1G', { at: 512 * M }), /begins below 1G/)
  assert.match(refusal(LAPTOP, '1G', { at: 1100 * M }), /is not all ordinary RAM: 8K at 0x6b2e6000 is/)
  assert.match(refusal(LAPTOP, '1G', { at: 18 * G }), /is not all ordinary RAM: 1G at 18G/)
  assert.match(refusal(SERVER, '1G', { at: 200 * G, node: 0 }), /is not in memory node 0/)
  assert.match(plan(LAPTOP, '512M', { at: 1200 * M }).notes.join('\n'), /lies below 4G/)
})

test('sizes that cannot be had', () => {
  assert.match(refusal(LAPTOP, '3M'), /size 3M is not a multiple of 2M/)
  assert.match(refusal(LAPTOP, '2M'), /a pool needs 64M/)
  assert.match(refusal(Q35, '100T'), /is too much/)
  assert.match(refusal(Q35, '1G', {}, `${LINE} mem=2G`), /is too much|no 1G of free RAM/)
  assert.match(refusal(Q35, '1G', {}, `${LINE} memmap=exactmap`), /no RAM to spare/)
  assert.match(refusal(LAPTOP, '1G', {}, `x=${'y'.repeat(2000)}`), /is cut after 2047/)
})

test('a carve-out that is there is left alone, or replaced', () => {
  const first = plan(LAPTOP, '4G')
  const line = `${LINE} memmap=64K$0x18690000 ${first.addWords.join(' ')}`
  assert.match(
    refusal(LAPTOP, '1G', { at: first.range.start }, line),
    /overlaps 4G at .*--replace plans without it/,
  )
  assert.equal(carveOuts(splitCommandLine(plan(LAPTOP, '1G', {}, line).commandLine)).length, 2)
  const replaced = plan(LAPTOP, '8G', { replace: true }, line)
  assert.deepEqual(replaced.dropWords, [first.addWords[0]])
  assert.deepEqual(carveOuts(splitCommandLine(replaced.commandLine)), [replaced.range])
  assert.match(replaced.commandLine, /memmap=64K\$0x18690000/)
  assert.match(replaced.notes.join('\n'), /is lost/)
  assert.match(grubbyCommand(replaced), /--remove-args='memmap=4G%/)
  const shared = plan(
    LAPTOP,
    '8G',
    { replace: true },
    'memmap=64K$0x18690000,1G%4G-1+0xefffffff -- --init-word',
  )
  assert.deepEqual(shared.addWords.slice(0, 1), ['memmap=64K$0x18690000'])
  assert.match(shared.commandLine, /kmem -- --init-word$/)
})

test('where KASLR has no room for a ceiling it is switched off, and then kexec is no way to go', () => {
  const full = 'memmap=1M$1G,1M$1100M,1M$1200M,1M$1300M'
  const { addWords, kexec, notes } = plan(LAPTOP, '12G', {}, full)
  assert.deepEqual(addWords, ['memmap=12G%4G-1+0xefffffff', 'nokaslr', KMEM_WORD])
  assert.equal(kexec, false)
  assert.match(notes.join('\n'), /nokaslr: four ranges/)
  assert.equal(plan(LAPTOP, '12G', {}, 'nokaslr').addWords.length, 2)
})

test('whatever is asked for, a plan holds: RAM throughout, whole, out of KASLR’s way, and the host keeps enough', () => {
  const words = fc.constantFrom(
    '',
    'nokaslr',
    'mem=9G',
    'memmap=1G$5G',
    'memmap=2G%6G-1+0xefffffff',
    KMEM_WORD,
  )
  fc.assert(
    fc.property(
      fc.constantFrom(Q35, LAPTOP, SERVER),
      fc.integer({ min: 32, max: 9000 }).map((blocks) => blocks * 2 * M),
      fc.option(
        fc.integer({ min: 512, max: 9000 }).map((blocks) => blocks * 2 * M),
        { nil: undefined },
      ),
      fc.array(words, { maxLength: 3 }),
      (memory, sizeBytes, at, given) => {
        let made: ReservePlan
        try {
          made = several(memory, [{ sizeBytes, at, node: undefined }], {}, given.join(' '))
        } catch (error) {
          assert.ok(error instanceof UsageError, String(error))
          return
        }
        const next = splitCommandLine(made.commandLine)
        const before = applyMemoryOptions(memory.firmware, memoryOptions(given))
        const after = applyMemoryOptions(memory.firmware, memoryOptions(next))
        const { range, alignBytes } = made.ranges[0] as PlannedRange
        assert.ok(covers(rangesOfType(before, E820.RAM), range))
        assert.ok(softReserved(after).some(({ start }) => start === range.start))
        assert.ok(!kaslrMayLandIn(next, range))
        assert.ok(totalBytes(rangesOfType(after, E820.RAM)) >= G)
        assert.ok(range.start >= G && range.start % alignBytes === 0)
        assert.ok(at === undefined || at === range.start)
      },
    ),
  )
})

test('GRUB’s file sets what a shell and then GRUB read back as the words', () => {
  const { range } = plan(LAPTOP, '4G')
  const words = ['memmap=4G%8G-1+0xefffffff', 'memmap=64K$0x18690000', `a="b 'c"`, 'd\\e;f|g&h`i', KMEM_WORD]
  const { path, text } = grubFile({ ...plan(LAPTOP, '4G'), addWords: words })
  assert.equal(path, `/etc/default/grub.d/50-guestmemfs-${range.start / G}G.cfg`)
  const script = `GRUB_CMDLINE_LINUX=quiet\n${text}\nprintf %s "$GRUB_CMDLINE_LINUX"`
  const inGrubCfg = execFileSync('sh', ['-c', script], { encoding: 'utf8' })
  // GRUB takes a backslash away and the next character as it is ("Quoting" in its manual); a bare sign would
  // be its own.
  assert.doesNotMatch(inGrubCfg.replaceAll(/\\./g, ''), /[$"'`;&|<>{}#]/)
  assert.equal(inGrubCfg.replaceAll(/\\(.)/g, '$1'), `quiet ${words.join(' ')}`)
})

test('the other ways to start a kernel get the whole line, as it is', () => {
  const made = plan(LAPTOP, '4G', {}, `${LINE} foo="a b" memmap=64K$0x18690000`)
  assert.equal(kernelInstallFile(made).text, `${made.commandLine}\n`)
  assert.match(made.commandLine, /^root=\/dev\/vda ro quiet foo="a b" memmap=64K\$0x18690000 memmap=4G%/)
  const shown = kexecCommand(made).replace(/^kexec .* --command-line=/, 'printf %s ')
  assert.equal(execFileSync('sh', ['-c', shown], { encoding: 'utf8' }), made.commandLine)
})
