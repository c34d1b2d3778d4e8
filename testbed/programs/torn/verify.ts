/**
 * The check after the interruption: `verify.ts DIRECTORY SEED COUNTERS SEEN`. The directory must be as after
 * the first N operations, N being all that were acknowledged, or one more, the one under way. SEEN: the last
 * that was printed outside.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { getxattr } from '../../../src/linux/xattr.ts'
import { Errno } from '../../../src/values/errno.ts'
import { Counters } from './counters.ts'
import { fileLine, Operations, XATTR } from './operations.ts'

const [directory = '', seed = '', ram = '', seen = ''] = process.argv.slice(2)

function describe(): string[] {
  return fs
    .readdirSync(directory, { withFileTypes: true })
    .map((entry) => {
      const path = join(directory, entry.name)
      if (entry.isDirectory()) return `${entry.name}/`
      if (entry.isSymbolicLink()) return `${entry.name} -> ${fs.readlinkSync(path)}`
      const { mode, nlink, size } = fs.statSync(path)
      const text = fs.readFileSync(path, 'latin1')
      assert.equal(text.length, size, entry.name)
      const note = getxattr(path, XATTR)
      return fileLine(
        entry.name,
        mode & 0o7777,
        nlink,
        text,
        note instanceof Errno ? '' : Buffer.from(note).toString(),
      )
    })
    .sort()
}

const { begun, acknowledged } = new Counters(ram).read()
assert.ok(acknowledged >= Number(seen), `outside knew of ${seen} operations, inside of ${acknowledged}`)
assert.ok(
  begun === acknowledged || begun === acknowledged + 1,
  `${begun} begun, ${acknowledged} acknowledged`,
)

const operations = new Operations(Number(seed))
while (operations.count < acknowledged) operations.next()
const found = describe()
const isExact = found.join('\n') === operations.expected().join('\n')
if (!isExact && begun > acknowledged) operations.next()
// As after the one under way; else the assertion shows the difference.
assert.deepEqual(found, operations.expected())
process.stdout.write(
  `${JSON.stringify({ acknowledged, begun, carriedOut: operations.count, names: found.length })}\n`,
)
