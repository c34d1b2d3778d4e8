/**
 * Tests of fetching packages from a faulty mirror: real apt, real packages, and a mirror on this machine that
 * cuts answers off, or has newer packages than its lists.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { CommandError, command } from '../command.ts'
import { Apt, PackageGoneError, withFreshLists } from './apt.ts'

const skip =
  existsSync('/usr/bin/apt-get') && existsSync('/usr/bin/dpkg-deb') ? false : 'needs apt and dpkg-deb'
const NAME = 'guestmemfs-test-package'

/** One package of some hundred kilobytes, so that half of it is not empty. */
async function buildPackage(folder: string, version: string): Promise<string> {
  const tree = join(folder, `tree-${version}`)
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true })
  chmodSync(join(tree, 'DEBIAN'), 0o755)
  const control = `Package: ${NAME}\nVersion: ${version}\nArchitecture: amd64\nMaintainer: none <none@localhost>\nDescription: of a test\n`
  writeFileSync(join(tree, 'DEBIAN/control'), control)
  writeFileSync(join(tree, 'content'), Buffer.alloc(300_000, version))
  const file = join(folder, `${NAME}_${version}_amd64.deb`)
  await command('dpkg-deb', ['--root-owner-group', '-Znone', '--build', tree, file])
  return file
}

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

/** A mirror that answers as `answer` says; its lists name the packages in `debs`. */
class Mirror {
  readonly #server = createServer((request, response) => this.#serve(request.url ?? '', response))
  debs: string[] = []
  /** Of the packages alone. */
  answer: 'whole' | 'half' | 'half once' = 'whole'
  askedForPackages = 0

  async open(t: TestContext): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      this.#server.closeAllConnections()
      this.#server.close()
    })
    return `deb [trusted=yes] http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ ./\n`
  }

  #packages(): string {
    return this.debs
      .map((file) => {
        const [, version] = /_([\d.]+)_/.exec(basename(file)) ?? []
        const bytes = readFileSync(file)
        return `Package: ${NAME}\nVersion: ${version}\nArchitecture: amd64\nFilename: ./${basename(file)}\nSize: ${bytes.length}\nSHA256: ${sha256(bytes)}\n`
      })
      .join('\n')
  }

  #release(): string {
    const packages = this.#packages()
    return `Suite: trixie\nCodename: trixie\nArchitectures: amd64\nSHA256:\n ${sha256(packages)} ${Buffer.byteLength(packages)} Packages\n`
  }

  #serve(url: string, response: ServerResponse): void {
    const name = basename(url)
    if (name === 'Release') return void response.end(this.#release())
    if (name === 'Packages') return void response.end(this.#packages())
    const file = this.debs.find((each) => basename(each) === name)
    if (file === undefined) return void response.writeHead(404).end()
    this.askedForPackages++
    const bytes = readFileSync(file)
    response.writeHead(200, { 'content-length': bytes.length })
    if (this.answer === 'whole' || (this.answer === 'half once' && this.askedForPackages > 1))
      return void response.end(bytes)
    response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
  }
}

async function setUp(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'apt-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const mirror = new Mirror()
  const sources = await mirror.open(t)
  const choice = { sources, folder: join(folder, 'apt') }
  const debs = join(folder, 'debs')
  mkdirSync(debs)
  return { folder, mirror, choice, debs }
}

test('a file that was cut off is downloaded again, completely', { skip }, async (t) => {
  const { folder, mirror, choice, debs } = await setUp(t)
  mirror.debs = [await buildPackage(folder, '1.0')]
  mirror.answer = 'half once'
  const apt = await Apt.open(choice)
  await apt.download([{ name: NAME, version: '1.0' }], debs)
  assert.ok(mirror.askedForPackages > 1)
  const [deb = ''] = readdirSync(debs)
  assert.deepEqual(readFileSync(join(debs, deb)), readFileSync(mirror.debs[0] as string))
})

test('a mirror that only ever answers half is an error in one line, and leaves no package', {
  skip,
}, async (t) => {
  const { folder, mirror, choice, debs } = await setUp(t)
  mirror.debs = [await buildPackage(folder, '1.0')]
  mirror.answer = 'half'
  const apt = await Apt.open(choice)
  const fetching = apt.download([{ name: NAME, version: '1.0' }], debs)
  await assert.rejects(fetching, (error: Error) => {
    assert.ok(error instanceof CommandError && !(error instanceof PackageGoneError))
    assert.ok(!error.message.includes('\n'), error.message)
    return true
  })
  const whole = readFileSync(mirror.debs[0] as string).length
  for (const name of readdirSync(debs)) assert.notEqual(readFileSync(join(debs, name)).length, whole)
})

test('a package that is gone is taken in the version that replaced it, and the operator is told', {
  skip,
}, async (t) => {
  const { folder, mirror, choice, debs } = await setUp(t)
  mirror.debs = [await buildPackage(folder, '1.0')]
  await Apt.open(choice) // its lists name 1.0 from now on
  mirror.debs = [await buildPackage(folder, '1.1')]
  const said: string[] = []
  const taken = await withFreshLists(
    async (apt) => {
      const [wanted] = await apt.closure([NAME])
      assert.ok(wanted)
      await apt.download([wanted], debs)
      return wanted.version
    },
    (line) => said.push(line),
    choice,
  )
  assert.equal(taken, '1.1')
  assert.equal(said.length, 1)
  assert.match(said[0] ?? '', /the mirror has a package no more .*reading the package lists again/)
  assert.ok(readdirSync(debs).some((name) => name.includes('_1.1_')))
})
