/** Three machines as their firmware describes them, for the tests of what is planned on them. */

import { E820 } from '../../linux/memmap.ts'
import type { MemoryNode } from '../../linux/memory-nodes.ts'
import { GIB } from '../../values/units.ts'
import type { MachineMemory, Occupant } from '../machine-memory.ts'
import type { E820Entry } from '../memory-map.ts'

/** First byte, last byte, name: as /sys/firmware/memmap has them. */
const map = (text: string): E820Entry[] =>
  text
    .trim()
    .split('\n')
    .map((line) => {
      const [, first, last, name] = /^\s*(\S+) (\S+) (.*)$/.exec(line) ?? []
      const types: Readonly<Record<string, number>> = { 'System RAM': E820.RAM, 'ACPI Tables': E820.ACPI }
      return { start: Number(first), end: Number(last) + 1, type: types[name ?? ''] ?? E820.RESERVED }
    })

const node = (id: number, ...ranges: [number, number][]): MemoryNode => ({
  id,
  ranges: ranges.map(([start, end]) => ({ start, lengthBytes: end - start })),
})

const occupant = (what: Occupant['what'], start: number, end: number): Occupant => ({
  what,
  range: { start, lengthBytes: end - start },
})

/**
 * What QEMU's q35 gives the testbed's host with `-m 4G`: SeaBIOS, 2 GiB below the hole and 2 GiB above 4 GiB.
 */
export const Q35: MachineMemory = {
  firmware: map(`
    0x0 0x9fbff System RAM
    0x9fc00 0x9ffff Reserved
    0xf0000 0xfffff Reserved
    0x100000 0x7ffd9fff System RAM
    0x7ffda000 0x7fffffff Reserved
    0xb0000000 0xbfffffff Reserved
    0xfed1c000 0xfed1ffff Reserved
    0xfffc0000 0xffffffff Reserved
    0x100000000 0x17fffffff System RAM
    0xfd00000000 0xffffffffff Reserved`),
  nodes: [node(0, [0, 2 * GIB], [4 * GIB, 6 * GIB])],
  occupants: [occupant('kernel', 0x127e00000, 0x12aa00000), occupant('initrd', 0x7f8f2000, 0x7ffcf944)],
}

/**
 * A UEFI laptop with 16 GiB: RAM below 4 GiB in small pieces, a hole for the graphics card, the rest in one
 * piece.
 */
export const LAPTOP: MachineMemory = {
  firmware: map(`
    0x0 0x57fff System RAM
    0x58000 0x58fff Reserved
    0x59000 0x9efff System RAM
    0x9f000 0xfffff Reserved
    0x100000 0x3fffffff System RAM
    0x40000000 0x403fffff Reserved
    0x40400000 0x6b2e5fff System RAM
    0x6b2e6000 0x6b2e6fff ACPI Non-volatile Storage
    0x6b2e7000 0x6b2e7fff Reserved
    0x6b2e8000 0x77a1cfff System RAM
    0x77a1d000 0x77e5bfff Reserved
    0x77e5c000 0x77ed8fff ACPI Tables
    0x77ed9000 0x784a2fff ACPI Non-volatile Storage
    0x784a3000 0x78ffefff Reserved
    0x78fff000 0x78ffffff System RAM
    0x79000000 0x7f7fffff Reserved
    0xe0000000 0xefffffff Reserved
    0xfe000000 0xfe010fff Reserved
    0xfec00000 0xfec00fff Reserved
    0xfee00000 0xfee00fff Reserved
    0xff000000 0xffffffff Reserved
    0x100000000 0x47f7fffff System RAM`),
  nodes: [node(0, [0, 2 * GIB], [4 * GIB, 18 * GIB])],
  occupants: [occupant('kernel', 0x2a1800000, 0x2a4600000), occupant('initrd', 0x6540c000, 0x67bfffff)],
}

/** A server with two sockets of 192 GiB each, and a crash kernel of 512 MiB high in the first. */
export const SERVER: MachineMemory = {
  firmware: map(`
    0x0 0x3dfff System RAM
    0x3e000 0x3ffff Reserved
    0x40000 0x9ffff System RAM
    0xa0000 0xfffff Reserved
    0x100000 0x64bfefff System RAM
    0x64bff000 0x6cbfefff Reserved
    0x6cbff000 0x6effefff ACPI Non-volatile Storage
    0x6efff000 0x6f7fefff ACPI Tables
    0x6f7ff000 0x6f7fffff System RAM
    0x6f800000 0x8fffffff Reserved
    0xfe000000 0xfe010fff Reserved
    0x100000000 0x607fffffff System RAM`),
  nodes: [node(0, [0, 2 * GIB], [4 * GIB, 194 * GIB]), node(1, [194 * GIB, 386 * GIB])],
  occupants: [
    occupant('kernel', 0x1e41000000, 0x1e44400000),
    occupant('crash kernel', 0x305f000000, 0x307f000000),
  ],
}
