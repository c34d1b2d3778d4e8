/**
 * The part of a guest that releases DIMMs: QEMU unplugs one when the guest writes to a port of its ACPI
 * hardware, which an operating system does on a request (docs/specs/acpi_mem_hotplug.rst in QEMU).
 */
import { type Assembler, EAX, EDX, ZERO } from './assembler.ts'

const SLOT_PORT = 0xa00
const STATUS_PORT = 0xa14
/** Bit of the status: to read whether there is such a request, and to write that it was seen. */
const REQUEST = 1 << 2
const EJECT = 1 << 3

/** Looks at each slot once. Changes EAX and EDX. */
export function emitEjectMemory(a: Assembler, slots: number): void {
  for (let slot = 0; slot < slots; slot++) {
    a.move(EDX, SLOT_PORT)
    a.move(EAX, slot)
    a.outWord()
    a.move(EDX, STATUS_PORT)
    a.in()
    a.testLowByte(REQUEST)
    a.jumpIf(ZERO, `slot ${slot} stays`)
    // QEMU keeps the request for the next DIMM of the slot otherwise.
    for (const bit of [REQUEST, EJECT]) {
      a.move(EAX, bit)
      a.out()
    }
    a.label(`slot ${slot} stays`)
  }
}
