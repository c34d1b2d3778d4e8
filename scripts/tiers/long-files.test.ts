import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { LONG_FILES } from './long-files.ts'
import { TIERS } from './tiers.ts'

const project = join(import.meta.dirname, '../..')
const pathsOf = (name: string): string[] =>
  TIERS.filter((tier) => tier.name === name).flatMap((tier) => tier.jobs(project).map(({ path }) => path))

for (const [folder, names] of Object.entries(LONG_FILES))
  test(`each file of test/${folder} is in one tier, and each that is named as long is there`, () => {
    for (const name of names) assert.ok(existsSync(join(project, `test/${folder}/${name}.test.ts`)), name)
    const [usual, long] = [pathsOf(folder), pathsOf(`${folder}-long`)]
    assert.deepEqual(long, names.map((name) => `test/${folder}/${name}.test.ts`).toSorted())
    assert.deepEqual(
      usual.filter((path) => long.includes(path)),
      [],
    )
    assert.ok(usual.length > 10)
  })
