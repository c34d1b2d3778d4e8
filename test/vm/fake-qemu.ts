/** QEMUs with one fault each: real programs in a folder, so that they are started as any other. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { forOthers } from './nobodys-vm.ts'

/** `run` and the preflight start a QEMU with `-machine none` for its version. */
export const WHEN_PROBED = 'case "$*" in "-machine none "*) exec qemu-system-x86_64 "$@";; esac'

/** The end of a trial's line (`src/qemu/trial/trial-line.ts`). */
export const WHEN_TRIED = 'case "$*" in *" -monitor none -display none") exec qemu-system-x86_64 "$@";; esac'

export function program(folder: string, name: string, ...lines: string[]): string {
  const path = join(folder, name)
  writeFileSync(path, ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 })
  return path
}

/** Reports QEMU 7.2 as its version, to any command. */
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
 * A real QEMU where it only reports its version or is in a trial; started for a guest it ends with status 3.
 */
export function brokenQemu(folder: string): string {
  return program(folder, 'qemu-broken', WHEN_PROBED, WHEN_TRIED, 'exit 3')
}

export interface MoodyQemu {
  readonly path: string
  /**
   * From now on it runs the shell command `what` before it starts for a guest; in a trial only with
   * `evenTried`.
   */
  readonly set: (what: string, evenTried?: 'even-tried') => void
  readonly reset: () => void
}

/** A real QEMU that a test can make fail, or slow, at its next start. */
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

/**
 * A program that answers QMP and has no guest; `swapping-qemu.ts` has what it does to its owner's directory.
 */
export function swappingQemu(t: TestContext, folder: string, words: readonly string[]): string {
  const line = [...forOthers(t, join(import.meta.dirname, 'swapping-qemu.ts')), ...words].join(' ')
  return program(folder, 'qemu-swapping', WHEN_PROBED, `exec ${line} "$@"`)
}

/** A real QEMU whose events have a time that is off by `seconds`. */
export function skewedQemu(folder: string, seconds: number): string {
  const relay = join(import.meta.dirname, 'relay-qmp.ts')
  const socket = join(folder, 'monitor')
  return program(
    folder,
    'qemu-skewed',
    WHEN_PROBED,
    WHEN_TRIED,
    `socket=${socket}-$$`,
    `${process.execPath} --disable-warning=ExperimentalWarning ${relay} ${seconds} $socket &`,
    'exec 3<&-',
    'set -- $(echo "$@" | sed "s|fd=3,server=on|path=$socket,server=on|")',
    'exec qemu-system-x86_64 "$@"',
  )
}
