/** Tests of reading apt's sources: both formats, and that a third party is never taken for Debian. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { debianMirror, hasSuite, parseDeb822Sources, parseOneLineSources, sourceLine } from './apt-sources.ts'

const KEY = '/usr/share/keyrings/debian-archive-keyring.gpg'
const DEB822 = `Types: deb
# a comment in the middle
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: ${KEY}

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: ${KEY}

Types: deb
URIs: https://third.example/node
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/third.gpg
`

test('deb822: the stanza of the suite itself is the mirror', () => {
  const sources = parseDeb822Sources(DEB822)
  assert.equal(sources.length, 3)
  assert.deepEqual(sources[0]?.suites, ['bookworm', 'bookworm-updates'])
  assert.deepEqual(debianMirror(sources, 'bookworm'), { uri: 'http://mirror.example/debian', signedBy: KEY })
  assert.equal(hasSuite(sources, 'bookworm-backports'), false)
})

test('deb822: folded fields, disabled stanzas, embedded keys and CRLF-free comments', () => {
  const text = `Types: deb deb-src
URIs: http://a.example/debian/
 http://b.example/debian/
Suites: trixie
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc: def

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie-backports
Components: main
`
  const sources = parseDeb822Sources(text)
  assert.equal(sources.length, 1)
  assert.deepEqual(sources[0]?.uris, ['http://a.example/debian/', 'http://b.example/debian/'])
  assert.equal(sources[0]?.signedBy, undefined)
})

test('one-line: options, comments, sources of source code', () => {
  const text = `
# deb http://off.example/debian bookworm main
deb [arch=amd64 signed-by=${KEY}] http://mirror.example/debian bookworm main contrib # inline
deb http://mirror.example/debian bookworm-updates main
deb-src http://mirror.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb http://apt.example/pgdg bookworm-pgdg main
nonsense
`
  const sources = parseOneLineSources(text)
  assert.equal(sources.length, 5)
  assert.deepEqual(sources[0]?.components, ['main', 'contrib'])
  const mirror = debianMirror(sources, 'bookworm')
  assert.deepEqual(mirror, { uri: 'http://mirror.example/debian', signedBy: KEY })
  assert.ok(mirror)
  assert.equal(
    sourceLine(mirror, 'bookworm-backports'),
    `deb [signed-by=${KEY}] http://mirror.example/debian bookworm-backports main\n`,
  )
  assert.deepEqual(parseOneLineSources(sourceLine(mirror, 'x'))[0]?.suites, ['x'])
})

test('a mirror without a key, a cloud image’s mirror list, and third parties alone', () => {
  const plain = parseOneLineSources(
    'deb http://m.example/debian trixie main\ndeb http://m.example/debian trixie-updates main',
  )
  assert.deepEqual(debianMirror(plain, 'trixie'), { uri: 'http://m.example/debian' })
  const cloud = parseDeb822Sources(
    'Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie trixie-updates trixie-backports\nComponents: main\n',
  )
  assert.deepEqual(debianMirror(cloud, 'trixie'), { uri: 'mirror+file:///etc/apt/mirrors/debian.list' })
  assert.equal(hasSuite(cloud, 'trixie-backports'), true)
  const third = parseOneLineSources('deb [signed-by=/k/third.gpg] https://third.example/node bookworm main')
  assert.equal(debianMirror(third, 'bookworm'), undefined)
  const security = parseOneLineSources(
    `deb [signed-by=${KEY}] http://m.example/debian-security bookworm main`,
  )
  assert.equal(debianMirror(security, 'bookworm'), undefined)
})

test('no text makes the parsers throw', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('deb ', 'URIs: ', '[', ']', '\n', ' ', 'x', '#', '\n\n') }),
      (text) => {
        debianMirror([...parseOneLineSources(text), ...parseDeb822Sources(text)], 'x')
      },
    ),
  )
})
