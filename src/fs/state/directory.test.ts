import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { byteString, type Ino } from '../../values/ids.ts'
import { Directory, type DirectoryEntry } from './directory.ts'

function entry(name: string, cookie: number, ino = cookie): DirectoryEntry {
  return { kind: 'name', parent: 1 as Ino, name: byteString(name), ino: ino as Ino, cookie }
}
const cookies = (directory: Directory, after = 0) => [...directory.after(after)].map(({ cookie }) => cookie)

test('a directory answers like a map and lists by cookie, whatever came and went', () => {
  const step = fc.record({
    remove: fc.boolean(),
    name: fc.integer({ min: 0, max: 150 }),
    // Mostly ascending, as at run time; now and then an older one, as a replay brings it.
    older: fc.option(fc.integer({ min: 3, max: 40 }), { freq: 10 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), fc.integer({ min: 0, max: 400 }), (steps, from) => {
      const directory = new Directory()
      const model = new Map<string, DirectoryEntry>()
      let next = 41
      for (const { remove, name, older } of steps) {
        const key = `n${name}`
        if (remove) {
          assert.equal(directory.delete(byteString(key)), model.get(key))
          model.delete(key)
          continue
        }
        const taken = older !== null && [...model.values()].some(({ cookie }) => cookie === older)
        const made = entry(key, older === null || taken ? next++ : older)
        assert.equal(directory.set(made), model.get(key))
        model.set(key, made)
      }
      assert.equal(directory.size, model.size)
      for (const [key, value] of model) assert.equal(directory.get(byteString(key)), value)
      const sorted = [...model.values()].sort((a, b) => a.cookie - b.cookie)
      assert.deepEqual([...directory.after(0)], sorted)
      assert.deepEqual(
        [...directory.after(from)],
        sorted.filter(({ cookie }) => cookie > from),
      )
      assert.deepEqual(new Set(directory.values()), new Set(sorted))
    }),
  )
})

test('a name that is replaced keeps its place in the listing', () => {
  const directory = new Directory()
  for (const cookie of [3, 4, 5]) directory.set(entry(`f${cookie}`, cookie))
  directory.set(entry('f4', 4, 99))
  assert.deepEqual(
    [...directory.after(0)].map(({ ino }) => ino),
    [3, 99, 5],
  )
})

test('a listing goes on at its place while names are removed around it, compaction included', () => {
  const directory = new Directory()
  for (let cookie = 3; cookie < 1003; cookie++) directory.set(entry(`f${cookie}`, cookie))
  const seen: number[] = []
  for (const { cookie } of directory.after(0)) {
    seen.push(cookie)
    directory.delete(byteString(`f${cookie}`))
    if (cookie % 10 === 3) directory.delete(byteString(`f${cookie + 1}`))
  }
  const expected = Array.from({ length: 1000 }, (_, at) => at + 3).filter((cookie) => cookie % 10 !== 4)
  assert.deepEqual(seen, expected)
  assert.equal(directory.size, 0)
})

test('names added while a directory is walked are met, however much was removed before', () => {
  const directory = new Directory()
  for (let cookie = 3; cookie < 503; cookie++) directory.set(entry(`f${cookie}`, cookie))
  const seen: number[] = []
  for (const { cookie } of directory.after(0)) {
    seen.push(cookie)
    if (cookie !== 10) continue
    for (let gone = 3; gone < 500; gone++) directory.delete(byteString(`f${gone}`))
    directory.set(entry('late', 600))
  }
  assert.deepEqual(seen, [3, 4, 5, 6, 7, 8, 9, 10, 500, 501, 502, 600])
})

test('100,000 names: any cookie is found at once and removing all leaves nothing', () => {
  const directory = new Directory()
  for (let cookie = 3; cookie < 100_003; cookie++) directory.set(entry(`f${cookie}`, cookie))
  for (const cookie of [3, 50_000, 99_999]) assert.equal(cookies(directory, cookie)[0], cookie + 1)
  for (let cookie = 3; cookie < 100_003; cookie += 2) directory.delete(byteString(`f${cookie}`))
  assert.equal(cookies(directory).length, 50_000)
  for (let cookie = 4; cookie < 100_003; cookie += 2) directory.delete(byteString(`f${cookie}`))
  assert.deepEqual(cookies(directory), [])
})
