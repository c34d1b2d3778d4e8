/** Tests that each scenario's host has the memory that its kernels set aside. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryOptions } from '../../src/linux/memmap.ts'
import { rangeEnd } from '../../src/linux/memory-ranges.ts'
import { parseSize } from '../../src/values/size.ts'
import { GIB } from '../../src/values/units.ts'
import { DEFAULT_MEMORY } from '../scenario/run.ts'
import { SCENARIOS } from './registry.ts'

/**
 * A q35 machine has its memory below 4 GiB, or from 2.75 GiB on, 2 GiB there and the rest from 4 GiB on
 * (pc_q35_init(), hw/i386/pc_q35.c).
 */
const SPLIT_BYTES = 2.75 * GIB

for (const [name, { memory = DEFAULT_MEMORY, append = '' }] of Object.entries(SCENARIOS))
  test(`${name}: the memory that is set aside is there`, () => {
    const sizeBytes = parseSize(memory, 'memory')
    const endBytes = sizeBytes < SPLIT_BYTES ? sizeBytes : sizeBytes + 2 * GIB
    const beyond = `${append} in a host of ${memory}`
    for (const option of memoryOptions(append.split(' '))) {
      if (option.kind === 'retype') assert.ok(rangeEnd(option.range) <= endBytes, beyond)
      // `devmem` reserves one whose second half is above the end of RAM.
      if (option.kind === 'add') assert.ok(option.range.start < endBytes, beyond)
    }
  })
