/** Tests of what src/host reads: versions, os-release, madison, INIT, kernel configuration, findings. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { UsageError } from '../values/errors.ts'
import { addSuite, parseMadison, readAptSources } from './apt.ts'
import { examine } from './checks.ts'
import { parseInit } from './fuse-probe.ts'
import { isConfigured } from './kernel-config.ts'
import { parseOsRelease } from './os-release.ts'
import { atLeast, parseVersion } from './version.ts'

test('versions: QEMU, Debian with an epoch, kernels', () => {
  assert.deepEqual(parseVersion('QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds)'), { major: 10, minor: 0 })
  assert.deepEqual(parseVersion('1:7.2+dfsg-7+deb12u18+b3'), { major: 7, minor: 2 })
  assert.deepEqual(parseVersion('6.12.95+deb13-cloud-amd64'), { major: 6, minor: 12 })
  assert.equal(parseVersion('none'), undefined)
  assert.equal(atLeast({ major: 10, minor: 0 }, { major: 8, minor: 2 }), true)
  assert.equal(atLeast({ major: 8, minor: 1 }, { major: 8, minor: 2 }), false)
})

test('os-release with and without quotes', () => {
  const text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'
  const { id, codename, prettyName } = parseOsRelease(text)
  assert.deepEqual([id, codename, prettyName], ['debian', 'bookworm', 'Debian GNU/Linux 12 (bookworm)'])
})

test('apt-cache madison: version and suite, newest first', () => {
  const text = ` qemu | 1:10.0 | http://m.example/debian bookworm-backports/main amd64 Packages
 qemu | 1:7.2 | http://m.example/debian bookworm/main amd64 Packages
 qemu | 1:7.2 | http://m.example/debian bookworm/main Sources\n`
  assert.deepEqual(parseMadison(text), [
    { version: '1:10.0', suite: 'bookworm-backports' },
    { version: '1:7.2', suite: 'bookworm' },
  ])
})

test('a suite is added once, from the mirror in use, and pinned; without a mirror nothing is written', (t) => {
  const etc = mkdtempSync(join(tmpdir(), 'apt-'))
  t.after(() => rmSync(etc, { recursive: true }))
  for (const name of ['sources.list.d', 'preferences.d']) mkdirSync(join(etc, name))
  const host = { etc, options: [] }
  assert.throws(() => addSuite(host, 'bookworm-backports', 'bookworm'), UsageError)
  assert.deepEqual(readdirSync(join(etc, 'sources.list.d')), [])
  writeFileSync(
    join(etc, 'sources.list.d', 'debian.sources'),
    'Types: deb\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n',
  )
  assert.equal(addSuite(host, 'bookworm-backports', 'bookworm').length, 2)
  const uris = readAptSources(host).find(({ suites }) => suites.includes('bookworm-backports'))?.uris
  assert.deepEqual(uris, ['http://m.example/debian'])
  assert.deepEqual(addSuite(host, 'bookworm-backports', 'bookworm'), [])
})

test('INIT: passthrough counts only where the second word of flags is announced', () => {
  const request = (flags: number, flags2: number): Uint8Array => {
    const bytes = new Uint8Array(40 + 64)
    const view = new DataView(bytes.buffer)
    for (const [index, word] of [7, 45, 0, flags, flags2].entries())
      view.setUint32(40 + index * 4, word, true)
    return bytes
  }
  assert.deepEqual(parseInit(request(1 << 30, 1 << 5)), { major: 7, minor: 45, passthrough: true })
  assert.equal(parseInit(request(0, 1 << 5)).passthrough, false)
  assert.equal(parseInit(request(1 << 30, 0)).passthrough, false)
})

test('kernel configuration: built in or module, not a longer name', () => {
  const config = 'CONFIG_FUSE_FS=m\n# CONFIG_LIVEUPDATE is not set\nCONFIG_KEXEC_FILE=y\n'
  assert.equal(isConfigured(config, 'CONFIG_FUSE_FS'), true)
  assert.equal(isConfigured(config, 'CONFIG_KEXEC'), false)
  assert.equal(isConfigured(config, 'CONFIG_LIVEUPDATE'), false)
})

test('the doctor names each subject once, and every finding that is not ok says what to do', () => {
  const findings = examine()
  assert.equal(new Set(findings.map(({ subject }) => subject)).size, findings.length)
  for (const { subject, severity, advice } of findings) {
    assert.equal(advice === undefined, severity === 'ok', subject)
    assert.ok(!advice?.includes('\n'))
  }
})
