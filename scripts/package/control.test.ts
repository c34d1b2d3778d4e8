import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { brokenLinks, readLinkedTree } from '../check/links.ts'
import { checksumsText, controlText, dependencies, installedKib } from './control.ts'
import { changelogText, copyrightText, overridesText } from './documents.ts'
import { packageFiles } from './package-files.ts'
import { packageNames, payloadOf, withoutInterpreter } from './payload.ts'

const MAINTAINER = 'A Name <name@host.example>'
const PROJECT = new URL('../..', import.meta.url).pathname

test('libraries that programs load are packages of Debian’s; an unknown one is an error', () => {
  assert.deepEqual(dependencies(['libm.so.6', 'libstdc++.so.6', 'libc.so.6', 'libgcc_s.so.1']), [
    'libc6 (>= 2.28)',
    'libgcc-s1 (>= 3.4)',
    'libstdc++6 (>= 7)',
    'mount',
  ])
  assert.throws(() => dependencies(['libc.musl-x86_64.so.1']), /musl.*: no package/)
})

test('the control file has the fields that dpkg wants, each in its form', () => {
  const text = controlText({
    version: '1.2-1',
    maintainer: MAINTAINER,
    depends: ['libc6 (>= 2.28)', 'mount'],
    installedKib: 130_000,
  })
  const fields = new Map(text.split(/\n(?! )/).map((field) => field.split(/:\s+/, 2) as [string, string]))
  assert.equal(fields.get('Package'), 'guestmemfs')
  assert.equal(fields.get('Version'), '1.2-1')
  assert.equal(fields.get('Installed-Size'), '130000')
  assert.equal(fields.get('Depends'), 'libc6 (>= 2.28), mount')
  for (const line of text.split('\n').slice(0, -1)) assert.match(line, /^(?:[A-Z][\w-]+: \S| [\S].{0,79}$)/)
  assert.ok(text.endsWith('.\n'))
})

test('checksums and sizes are as dpkg has them', () => {
  assert.equal(
    checksumsText([['usr/bin/empty', Buffer.of()]]),
    'd41d8cd98f00b204e9800998ecf8427e  usr/bin/empty\n',
  )
  assert.equal(installedKib([0, 1, 1024, 1025], 3), 0 + 1 + 1 + 2 + 3)
})

test('the changelog’s entry has the form that dpkg-parsechangelog(1) reads', () => {
  const date = new Date('2026-11-30T11:03:43Z')
  const text = changelogText({ version: '1.2-1', upstream: '1.2', maintainer: MAINTAINER, date })
  const [head, , change, , end] = text.split('\n')
  assert.equal(head, 'guestmemfs (1.2-1) unstable; urgency=medium')
  assert.match(change ?? '', /^ {2}\* guestmemfs 1\.2/)
  assert.equal(end, ` -- ${MAINTAINER}  Mon, 30 Nov 2026 11:03:43 +0000`)
})

test('the copyright file has the license of each package that is brought', () => {
  const mit = 'MIT License\n\nCopyright (c) 2020 Some One <one@host.example>\n\nPermission is …\n'
  const text = copyrightText(
    [
      { name: 'one', version: '1.0', license: 'MIT', text: mit },
      { name: '@two/two', version: '2.0', license: 'ISC', text: undefined },
    ],
    '24.0.0',
  )
  assert.match(
    text,
    /^Files: usr\/lib\/guestmemfs\/package\/node_modules\/one\/\*\nCopyright: 2020 Some One <one@host\.example>\nLicense: MIT\n MIT License\n \.\n Copyright/m,
  )
  assert.match(text, /\nCopyright: the authors of @two\/two 2\.0\nLicense: ISC\n/)
  assert.doesNotMatch(text, /^\s*$(?!\nFiles:|\n?$)/m, 'an empty line ends a paragraph')
})

test('lintian’s findings are overridden for Node alone', () => {
  const lines = overridesText.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  assert.ok(lines.length > 0)
  for (const line of lines)
    assert.match(line, /^guestmemfs: [a-z-]+ \*usr\/lib\/guestmemfs\/package\/bin\/node\*$/)
})

test('of the program only what it loads is in the package', () => {
  const paths = [
    'bin/node',
    'dist/cli.js',
    'package.json',
    'node_modules/koffi/index.cjs',
    'node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node',
  ]
  const others = [
    'node_modules/koffi/README.md',
    'node_modules/koffi/cnoke.cjs',
    'node_modules/koffi/index.d.ts',
    'node_modules/koffi/vendor/node-addon-api/package.json',
    'node_modules/@koromix/koffi-linux-x64/musl_x64/koffi.node',
  ]
  const files = [...paths, ...others].map((path) => ({ path, source: path, isExecutable: false }))
  const payload = payloadOf(files)
  assert.deepEqual(
    payload.map(({ path }) => path),
    paths,
  )
  assert.deepEqual(packageNames(payload), ['koffi', '@koromix/koffi-linux-x64'])
  assert.equal(withoutInterpreter('#!/usr/bin/env node\nimport x'), 'import x')
  assert.equal(withoutInterpreter('import x\n#!/bin/sh\n'), 'import x\n#!/bin/sh\n')
})

test('the machine’s files run what the package has made current, and pages are compressed', () => {
  const files = packageFiles(PROJECT, { changelog: 'c', copyright: 'c', overrides: 'o', nodeLicenses: 'n' })
  const text = (path: string): string => {
    const found = files.find((file) => file.path === path)
    assert.ok(found, path)
    return Buffer.from(path.endsWith('.gz') ? gunzipSync(found.bytes) : found.bytes).toString()
  }
  const command = '/usr/lib/guestmemfs/versions/current/guestmemfs'
  for (const path of ['/usr/bin/guestmemfs', '/usr/sbin/mount.guestmemfs', '/usr/sbin/mount.fuse.guestmemfs'])
    assert.match(text(path), new RegExp(`^exec ${command} `, 'm'), path)
  for (const path of ['guestmemfs@.service', 'guestmemfs-early@.service', 'guestmemfs-resume.service'])
    assert.match(text(`/usr/lib/systemd/system/${path}`), new RegExp(`^ExecStart="${command}" `, 'm'), path)
  assert.match(text('/usr/share/man/man8/guestmemfs.8.gz'), /^\.TH GUESTMEMFS 8 /m)
  assert.match(text('/usr/share/bash-completion/completions/guestmemfs'), /^complete .*guestmemfs$/m)
  const paths = files.map(({ path }) => path)
  assert.equal(new Set(paths).size, paths.length)
  for (const path of paths) assert.doesNotMatch(path, /^\/(?:etc|usr\/local|var)\//, 'nothing to configure')
})

test('each link of a document leads to a file that the package has, npm’s as well', () => {
  const { documents, paths } = readLinkedTree(PROJECT)
  const prefix = '/usr/share/doc/guestmemfs/'
  const debian = packageFiles(PROJECT, { changelog: '', copyright: '', overrides: '', nodeLicenses: '' })
  const { files: npm } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
    readonly files: readonly string[]
  }
  for (const has of [
    new Set(debian.flatMap(({ path }) => (path.startsWith(prefix) ? path.slice(prefix.length) : []))),
    new Set([...paths].filter((path) => npm.some((file) => path === file || path.startsWith(`${file}/`)))),
  ]) {
    const brought = documents.filter(({ path }) => has.has(path))
    assert.ok(brought.length > 20)
    assert.deepEqual(
      brought.flatMap((document) => brokenLinks(document, { documents, paths: has })),
      [],
    )
  }
})
