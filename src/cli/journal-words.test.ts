/** Tests of the words of a command that go to the journal. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { journalWords } from './journal-words.ts'

test('words stay as they were typed, quoted as for a shell', () => {
  const typed = ['mount', 'web pool', '/mnt', '-o', 'size=1G']
  assert.equal(journalWords(typed, ['web pool', '/mnt']), "mount 'web pool' /mnt -o 'size=1G'")
})

test("of run the program is logged and none of QEMU's words; of --env the name alone", () => {
  const qemu = ['qemu-system-x86_64', '-object', 'secret,id=s,data=geheim', '-spice', 'password=geheim']
  const options = ['run', '--name', 'web', '--env', 'TOKEN=geheim', '--env=KEY=geheim', '--env', 'HOME']
  const logged = "run --name web --env 'TOKEN=…' '--env=KEY=…' --env HOME -- qemu-system-x86_64"
  assert.equal(journalWords([...options, '--', ...qemu], qemu), logged)
  const without = ['qemu-system-x86_64', 'geheim', 'and=geheim']
  assert.doesNotMatch(journalWords([...options, ...without], without), /geheim/)
})

test('one line, of bounded length, without a control character, whatever was typed', () => {
  const word = fc.string({ unit: 'binary', maxLength: 700 })
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (words) => {
      const line = journalWords(['umount', ...words], words)
      assert.ok(line.length <= 600, `${line.length}`)
      assert.doesNotMatch(line, /[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]/u)
    }),
  )
})
