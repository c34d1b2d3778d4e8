/** Tests that what the file system tells of a pool is what `status` says that it reads. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import { strict } from '../../testbed/printed-json.ts'
import { blocks, type FixtureOptions, fixture, n, nameAt, ok, ROOT } from '../fs/testing/fixture.ts'
import { PoolStatusSchema } from './pool-status.ts'

const START = 4 * 2 ** 30
const PLACE = {
  ...{ start: START, lengthBytes: blocks(16) },
  nodes: [{ node: 0, start: START, lengthBytes: blocks(16) }],
}

const OWN = { origin: { unique: 0n, epoch: 1 } }

/** The sections of a pool with a VM's RAM on bad memory and a file without a name, as its root has them. */
function sectionsOf(options: FixtureOptions): Record<string, unknown> {
  const { fs, rq, file, stat } = fixture(options)
  const ram = file('ram', blocks(1))
  ok(fs.setXattr(rq(), ram, n('trusted.guestmemfs.vm'), Buffer.from('{"name":"web"}'), 0))
  file('gone', blocks(1))
  fs.unlink(rq(), nameAt(ROOT, 'gone'))
  ok(fs.markBad(OWN, [...stat(ram).extents, { start: 15, count: 1 }]))
  const read = (name: string): unknown =>
    JSON.parse(Buffer.from(ok(fs.getXattr(ROOT, n(`guestmemfs.${name}`)))).toString())
  const [identity, geometry, health] = ['pool', 'geometry', 'health'].map(read)
  return { identity, geometry, health, orphans: read('orphans'), vms: read('vms'), bad: read('bad') }
}

for (const [what, options] of Object.entries<FixtureOptions>({
  'memory of the host': {},
  'a region with pages of 1 GiB': { clearing: 'ours', place: PLACE, frames: { blocks: 4, first: 0 } },
}))
  test(`${what}: each key is in the schema, and none is missing`, () => {
    const sections = sectionsOf(options)
    const { entries } = PoolStatusSchema
    for (const [name, value] of Object.entries(sections)) {
      const { success, issues } = v.safeParse(strict(entries[name as keyof typeof entries]), value)
      assert.ok(success, `${name}: ${issues?.map(({ message }) => message)} in ${JSON.stringify(value)}`)
    }
    assert.equal((sections.orphans as unknown[]).length, 1)
    assert.deepEqual((sections.vms as { name: string }[])[0]?.name, 'web')
    assert.deepEqual(
      (sections.bad as { file?: string }[]).map(({ file }) => file),
      ['ram', undefined],
    )
    assert.equal((sections.health as { badBlocksInFiles?: number }).badBlocksInFiles, 1)
  })
