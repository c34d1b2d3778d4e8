/**
 * An installation that is killed at any of its steps: either the former or the new version works, complete;
 * and the next installation succeeds.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { install } from '../../src/host/install-and-remove.ts'
import { installFiles } from '../../src/host/install-files.ts'
import { installProgram } from '../../src/host/install-program.ts'
import { smallProgram } from '../../src/host/testing/small-program.ts'
import { LIBRARY, lacksOf, versionNames } from '../../src/host/versions/version-folder.ts'

const DYING = fileURLToPath(new URL('install-and-die.ts', import.meta.url))

/** False: it has fewer steps, and was not killed. */
function installAndDie(prefix: string, root: string, step: number): boolean {
  const { signal, status, stderr } = spawnSync(
    process.execPath,
    [...process.execArgv, DYING, prefix, root, String(step)],
    {
      encoding: 'utf8',
      timeout: 60_000,
    },
  )
  assert.ok(signal === 'SIGKILL' || status === 0, stderr)
  return signal === 'SIGKILL'
}

/** What the installed program and helper print; checks that each of the files is complete. */
function runsBelow(prefix: string): string {
  const { stdout, stderr } = spawnSync(join(prefix, 'usr/local/bin/guestmemfs'), { encoding: 'utf8' })
  assert.notEqual(stdout, '', stderr)
  const helper = join(prefix, 'sbin/mount.guestmemfs')
  const mounted = spawnSync(helper, ['pool', '/mnt', '-v'], { encoding: 'utf8' })
  assert.match(mounted.stdout, / mount pool \/mnt $/, mounted.stderr)
  return stdout.split(' ')[0] as string
}

async function killAtEachStep(
  t: TestContext,
  before: (prefix: string, root: string) => void,
): Promise<number> {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'install-killed-')))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  const [prefix, root] = [join(folder, 'prefix'), join(folder, 'two')]
  smallProgram(root, 'two')
  const seen = new Set<string>()
  for (let step = 1; ; step++) {
    fs.rmSync(prefix, { recursive: true, force: true })
    fs.mkdirSync(join(prefix, 'etc'), { recursive: true })
    before(prefix, join(folder, 'one'))
    const wasKilled = installAndDie(prefix, root, step)
    const where = `killed before step ${step}`
    const build = runsBelow(prefix)
    assert.ok(build === 'one' || build === 'two', where)
    seen.add(build)
    const library = join(prefix, LIBRARY)
    for (const name of versionNames(library)) assert.equal(lacksOf(join(library, name)), undefined, where)

    const done = installProgram(prefix, smallProgram(root, 'two'), {})
    assert.deepEqual([done.edited, runsBelow(prefix)], [[], 'two'], where)
    const hidden = fs
      .readdirSync(prefix, { recursive: true })
      .map(String)
      .filter((path) => /\/\.(?!lock)[^/]*$/.test(path))
    assert.deepEqual(hidden, [], where)
    if (!wasKilled) {
      assert.deepEqual([...seen].sort(), ['one', 'two'])
      return step
    }
  }
}

test('beside a version that is there', { timeout: 400_000 }, async (t) => {
  const steps = await killAtEachStep(t, (prefix, root) =>
    installProgram(prefix, smallProgram(root, 'one'), {}),
  )
  t.diagnostic(`${steps} steps`)
})

test('over what a former tree installed, whose files name its own place', { timeout: 400_000 }, async (t) => {
  const steps = await killAtEachStep(t, (prefix, root) => {
    smallProgram(root, 'one')
    install(prefix, installFiles([fs.realpathSync('/bin/sh'), join(root, 'dist/cli.js')]))
  })
  t.diagnostic(`${steps} steps`)
})
