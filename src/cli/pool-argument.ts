/** The argument by which every command is told of a pool that exists: its name, or where it is mounted. */
import type { Command } from 'commander'

/** `byDefault`: which pools the command takes where none is named. */
export const poolArgument = (command: Command, byDefault: string): Command =>
  command.argument('[pool]', `its name or its mount point; default: ${byDefault}`)

/** Of commands that change one pool, or show it. */
export const ONLY_POOL = 'the only one that is mounted'
