/** Owns QEMUs that misbehave in one way: real programs in a folder, so that they are started as any other. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Is asked for its version with `-machine none`, as every QEMU is. */
const WHEN_PROBED = 'case "$*" in "-machine none "*) exec qemu-system-x86_64 "$@";; esac'

/** In a trial it has no console and no monitor of the line's own (`src/qemu/trial/trial-line.ts`). */
const WHEN_TRIED = 'case "$*" in *" -monitor none -display none") exec qemu-system-x86_64 "$@";; esac'

function program(folder: string, name: string, ...lines: string[]): string {
  const path = join(folder, name)
  writeFileSync(path, ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 })
  return path
}

/** Says it is QEMU 7.2, whatever it is asked. */
export function oldQemu(folder: string): string {
  const version = '{"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}'
  const greeting = `{"QMP": {"version": ${version}, "capabilities": []}}`
  const answers = [
    greeting,
    '{"return": {}}',
    `{"return": ${version}}`,
    '{"return": [{"name": "pc-q35-7.2"}]}',
  ]
  return program(folder, 'qemu-7.2', ...answers.map((answer) => `echo '${answer}'`))
}

/**
 * A real QEMU as long as it is only asked for its version, or tried beside a guest; told to run one, it ends
 * with status 3.
 */
export function brokenQemu(folder: string): string {
  return program(folder, 'qemu-broken', WHEN_PROBED, WHEN_TRIED, 'exit 3')
}

export interface MoodyQemu {
  readonly path: string
  /**
   * From now on it does `what` before it starts a guest: any shell command. Not when it is tried, unless
   * `evenTried`.
   */
  readonly set: (what: string, evenTried?: 'even-tried') => void
  readonly reset: () => void
}

/** A real QEMU that can be told to fail, or to be slow, at its next start. */
export function moodyQemu(folder: string): MoodyQemu {
  const mood = join(folder, 'mood')
  const path = program(
    folder,
    'qemu-moody',
    WHEN_PROBED,
    `[ -e ${mood} ] && . ${mood}`,
    'exec qemu-system-x86_64 "$@"',
  )
  return {
    path,
    set: (what, evenTried) => writeFileSync(mood, evenTried ? what : `${WHEN_TRIED}\n${what}`),
    reset: () => rmSync(mood, { force: true }),
  }
}

/** Speaks QMP and has no guest: what it does to its owner's directory stands in `swapping-qemu.ts`. */
export function swappingQemu(folder: string, words: readonly string[]): string {
  const line = [process.execPath, join(import.meta.dirname, 'swapping-qemu.ts'), ...words].join(' ')
  return program(folder, 'qemu-swapping', WHEN_PROBED, `exec ${line} "$@"`)
}
