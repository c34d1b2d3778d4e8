#!/usr/bin/env node
/**
 * Owns the background process that supervises one VM: `supervisor-main.ts RAM_FILE`. Its own standard streams
 * become QEMU's. It writes nothing unless the VM cannot be started.
 */
import { writeSync } from 'node:fs'
import { fixUmask } from '../linux/umask.ts'
import { errorText } from '../values/errors.ts'
import { exitStatus, superviseVm } from './supervisor.ts'

const [, , ramFile] = process.argv
if (ramFile === undefined) throw new Error('usage: supervisor-main RAM_FILE')
fixUmask()
process.title = `guestmemfs-supervisor ${ramFile}`
try {
  process.exitCode = exitStatus(await superviseVm(ramFile, [0, 1, 2]))
} catch (error) {
  // Not by process.stderr: Node would make the stream non-blocking for QEMU as well.
  writeSync(2, `guestmemfs: ${errorText(error)}\n`)
  process.exitCode = 1
}
