/** Tests of the cache: it has complete entries only, each built once. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'

const home = mkdtempSync(join(tmpdir(), 'testbed-cache-'))
process.env.XDG_CACHE_HOME = home
const { cached, cacheFolder, cacheRoot, contentKey, dropUnused, keepRunFolder, makeRunFolder } = await import(
  './cache.ts'
)
after(() => rmSync(home, { recursive: true }))

const build = (words: string) => async (folder: string) => {
  writeFileSync(join(folder, 'thing'), words)
  return join(folder, 'thing')
}

test('a thing is built once and leaves nothing beside it', async () => {
  const place = await cached('kind/a', build('first'))
  assert.ok(place.startsWith(cacheRoot))
  assert.equal(await cached('kind/a', build('second')), place)
  assert.equal(readFileSync(place, 'utf8'), 'first')
  assert.deepEqual(readdirSync(dirname(place)), ['a'])
})

test('a build that fails leaves nothing', async () => {
  const failing = cached('kind/b', async (folder) => {
    writeFileSync(join(folder, 'half'), '')
    throw new Error('no space')
  })
  await assert.rejects(failing, /no space/)
  assert.ok(!readdirSync(join(cacheRoot, 'kind')).some((name) => name.startsWith('b')))
})

test('of two builders at once both get the same thing', async () => {
  const both = await Promise.all(['one', 'two'].map((words) => cached('kind/c', build(words))))
  assert.equal(both[0], both[1])
  assert.ok(existsSync(both[0] as string))
})

test('of two processes that build the same thing both get all of it', async () => {
  const text = `
    import { writeFileSync } from 'node:fs'
    import { join } from 'node:path'
    import { setTimeout } from 'node:timers/promises'
    import { cached } from '${import.meta.dirname}/cache.ts'
    console.log(await cached('kind/e', async (folder) => {
      for (const half of ['one', 'two']) {
        await setTimeout(100)
        writeFileSync(join(folder, half), String(process.pid))
      }
      return folder
    }))`
  const run = promisify(execFile)
  const both = await Promise.all([0, 1].map(() => run(process.execPath, ['--input-type=module', '-e', text])))
  const places = both.map(({ stdout }) => stdout.trim())
  assert.equal(places[0], places[1])
  const halves = readdirSync(places[0] as string).map((half) =>
    readFileSync(join(places[0] as string, half), 'utf8'),
  )
  assert.equal(halves.length, 2)
  assert.equal(halves[0], halves[1], 'both halves are of one builder')
  assert.deepEqual(
    readdirSync(join(cacheRoot, 'kind')).filter((name) => name.startsWith('e')),
    ['e'],
  )
})

test('a key tells where one part ends and the next begins', () => {
  assert.notEqual(contentKey('ab', 'c'), contentKey('a', 'bc'))
  assert.equal(contentKey('a', Buffer.from('b')), contentKey('a', 'b'))
})

test('what was not asked for in two weeks goes, what was asked for stays', async () => {
  const [unused] = [await cached('old/unused', build('')), await cached('old/used', build(''))]
  await setTimeout(20)
  await cached('old/used', build('again'))
  dropUnused(['old', 'never made'], statSync(unused).ctimeMs + 14 * 24 * 3600 * 1000 + 10)
  assert.deepEqual(readdirSync(cacheFolder('old')), ['used'])
})

test('nothing is built where there is no room for it', async () => {
  const room = { needsBytes: 2 ** 60, what: 'all of it' }
  let isBuilt = false
  const building = cached(
    'kind/no-room',
    async (folder) => {
      isBuilt = true
      return folder
    },
    room,
  )
  await assert.rejects(building, /^UsageError: all of it needs .* free .* more/)
  assert.equal(isBuilt, false)
})

/** A process that begins to build, or to run, and is killed in the middle. */
async function killedInTheMiddle(words: string): Promise<void> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', words], {
    env: { ...process.env, XDG_CACHE_HOME: process.env.XDG_CACHE_HOME },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

test('of a build or a run that was killed, the next one leaves nothing', async () => {
  const module = JSON.stringify(join(import.meta.dirname, 'cache.ts'))
  const hang = "console.log('here'); setInterval(() => {}, 1000); await new Promise(() => {})"
  await killedInTheMiddle(
    `import { cached } from ${module}; await cached('half/thing', async () => { ${hang} })`,
  )
  await killedInTheMiddle(`import { makeRunFolder } from ${module}; makeRunFolder('hidden'); ${hang}`)
  const mine = makeRunFolder('kexec')
  const building = cached('half/other', async (folder) => {
    assert.equal(readdirSync(cacheFolder('half')).length, 2)
    dropUnused(['half', 'runs'])
    return folder
  })
  await building
  assert.deepEqual(readdirSync(cacheFolder('half')), ['other'])
  assert.deepEqual(readdirSync(cacheFolder('runs')), [basename(mine)])
  assert.match(keepRunFolder(mine), /kexec-\w+$/)
})
