/** Tests of what is checked around the compilation of the testbed's kernel. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { lostOptions } from './build.ts'
import { tellingLines } from './make.ts'
import { missingPackages, TOOLS } from './tools.ts'

test('an option that the kernel did not take is named, one that is there is not', () => {
  const options = '# CONFIG_NOT_AN_OPTION=y\nCONFIG_SMP=y\nCONFIG_LIVEUPDATE=y\nCONFIG_NR_CPUS=8\n'
  const config = 'CONFIG_SMP=y\n# CONFIG_LIVEUPDATE is not set\nCONFIG_NR_CPUS=80\n'
  assert.deepEqual(lostOptions(options, config), ['CONFIG_LIVEUPDATE=y', 'CONFIG_NR_CPUS=8'])
  assert.deepEqual(lostOptions(options, `${config}CONFIG_LIVEUPDATE=y\nCONFIG_NR_CPUS=8\n`), [])
})

test('the kernel is for live updates, and names no option twice', () => {
  const lines = readFileSync(join(import.meta.dirname, 'luo.config'), 'utf8').split('\n')
  const names = lines.filter((line) => line.startsWith('CONFIG_')).map((line) => line.split('=')[0])
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  )
  for (const wanted of [
    'KEXEC_HANDOVER',
    'LIVEUPDATE',
    'LIVEUPDATE_MEMFD',
    'FUSE_PASSTHROUGH',
    'IKCONFIG_PROC',
  ])
    assert.ok(lines.includes(`CONFIG_${wanted}=y`), wanted)
})

test('only packages whose program or header is missing are asked for', () => {
  assert.deepEqual(
    missingPackages('/usr/bin', () => true),
    [],
  )
  assert.deepEqual(
    missingPackages('/usr/bin:/opt/bin', () => false),
    Object.values(TOOLS),
  )
  const there = new Set(['/opt/bin/flex', '/usr/include/libelf.h'])
  const missing = missingPackages('/usr/bin::/opt/bin', (path) => there.has(path))
  assert.ok(!missing.includes('flex') && !missing.includes('libelf-dev') && missing.includes('bison'))
})

test('of a failed make the errors are shown, not its last lines', () => {
  const said = 'cc: error: no such file\n  CC      a.o\nmake[1]: *** [a.o] Error 1\n  CC      b.o\n'
  assert.equal(tellingLines(said), 'cc: error: no such file / make[1]: *** [a.o] Error 1')
  assert.equal(tellingLines('  CC a.o\nkilled\n'), 'CC a.o / killed')
})
