/**
 * The suite pjdfstest: builds its program without autotools, and runs its scripts, each of which prints its
 * results as TAP.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { compile, need, runBounded } from './programs.ts'
import type { Place, Suite, Verdict } from './suite.ts'
import { countPassed, differences, parseTap, type ScriptOutcome } from './tap.ts'

const SCRIPT_MS = 120_000

/** The headers, library functions and fields of `struct stat` that its configure.ac tests for. */
const HEADERS = ['sys/mkdev.h', 'sys/sysmacros.h']
const FUNCTION = /AC_CHECK_FUNC\(\[(\w+)\]/g
const MEMBER = /struct stat\.(\w+)/g

export const PJDFSTEST: Suite = {
  name: 'pjdfstest',
  isAt: (path) => existsSync(join(path, 'pjdfstest.c')) && existsSync(join(path, 'tests/conf')),
  async build(path, folder) {
    need({ cc: 'gcc libc6-dev', openssl: 'openssl', perl: 'perl' })
    for (const part of ['pjdfstest.c', 'configure.ac', 'tests'])
      cpSync(join(path, part), join(folder, part), { recursive: true })
    writeFileSync(join(folder, 'config.h'), await configure(folder))
    await compile(folder, ['-w', '-I.', '-o', 'pjdfstest', 'pjdfstest.c'])
  },
  async run(folder, [reference, subject], { deadlineMs, say }) {
    const scripts = scriptsBelow(join(folder, 'tests'))
    const verdict = {
      checks: 0,
      passed: { reference: 0, subject: 0 },
      differences: [] as string[],
      isCutShort: false,
    }
    for (const script of scripts) {
      if (Date.now() > deadlineMs) {
        verdict.isCutShort = true
        break
      }
      const name = relative(folder, script)
      const [there, here] = [await runScript(script, reference), await runScript(script, subject)]
      verdict.checks += there.checks.size
      verdict.passed.reference += countPassed(there.checks)
      verdict.passed.subject += countPassed(here.checks)
      const found = differences(there, here).map(({ check, text }) => `${name} ${check}: ${text}`)
      verdict.differences.push(...found)
      for (const line of found) say(line)
    }
    return verdict satisfies Verdict
  },
}

const scriptsBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.t'))
    .sort()
    .map((name) => join(folder, name))

/** Each script has a folder of its own, which every user of the suite can enter. */
async function runScript(script: string, { path }: Place): Promise<ScriptOutcome> {
  const cwd = join(path, script.split('/').slice(-2).join('-'))
  mkdirSync(cwd, { mode: 0o755 })
  const { output, status, isTimedOut } = await runBounded('sh', [script], { cwd, timeoutMs: SCRIPT_MS })
  const ended = isTimedOut
    ? `ended after ${SCRIPT_MS / 1000} s`
    : status === 0
      ? undefined
      : `status ${status}`
  return { checks: parseTap(output), ended }
}

/** Writes config.h, by the tests that configure would run. */
async function configure(folder: string): Promise<string> {
  const asked = readFileSync(join(folder, 'configure.ac'), 'latin1')
  const found: string[] = ['#define _GNU_SOURCE 1']
  const define = async (name: string, program: string): Promise<void> => {
    writeFileSync(join(folder, 'conftest.c'), program)
    const words = ['-w', '-o', 'conftest', 'conftest.c']
    const { status } = await runBounded('cc', words, { cwd: folder, timeoutMs: 30_000 })
    if (status === 0) found.push(`#define HAVE_${name.replace(/\W/g, '_').toUpperCase()} 1`)
  }
  for (const header of HEADERS) await define(header, `#include <${header}>\nint main(void) { return 0; }\n`)
  for (const [, name] of asked.matchAll(FUNCTION)) await define(`${name}`, callOf(`${name}`))
  for (const [, member] of asked.matchAll(MEMBER))
    await define(
      `struct_stat_${member}`,
      `#define _GNU_SOURCE 1\n#include <sys/stat.h>\nint main(void) { struct stat s; return sizeof s.${member} == 0; }\n`,
    )
  return `${found.join('\n')}\n`
}

/** The C library has functions that only fail, and defines `__stub_NAME` for each. */
const callOf = (name: string): string => `#include <limits.h>
#if defined __stub_${name} || defined __stub___${name}
#error
#endif
char ${name}(void);
int main(void) { return ${name}(); }
`
