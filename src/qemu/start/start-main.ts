#!/usr/bin/env node
/**
 * A process that becomes a VM's QEMU: `start-main.ts first|next RAM_FILE`, or
 * `start-main.ts successor|placeholder NAME`. `next`: after another QEMU of the guest. Its standard streams
 * become QEMU's; a successor and a placeholder take those of the QEMU that has the guest.
 * GUESTMEMFS_NAMESPACES names descriptors of namespaces to enter. It writes nothing unless QEMU cannot be
 * started.
 */
import { writeSync } from 'node:fs'
import { enterNamespaces } from '../../linux/setns.ts'
import { fixUmask } from '../../linux/umask.ts'
import { errorText } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { becomeQemu } from './become-qemu.ts'
import { becomePlaceholder, becomeSuccessor } from './become-successor.ts'

const [, , how, subject] = process.argv
if (how === undefined || subject === undefined) throw new Error('usage: start-main HOW SUBJECT')
fixUmask()
try {
  enterNamespaces((process.env.GUESTMEMFS_NAMESPACES ?? '').split(' ').filter(Boolean).map(Number) as Fd[])
  if (how === 'successor') await becomeSuccessor(subject)
  const isPlaceholder = how === 'placeholder'
  process.exitCode = await (isPlaceholder ? becomePlaceholder(subject) : becomeQemu(subject, how === 'next'))
} catch (error) {
  // Not by process.stderr: Node would make the stream non-blocking for QEMU as well.
  writeSync(2, `guestmemfs: ${errorText(error)}\n`)
  process.exitCode = 1
}
