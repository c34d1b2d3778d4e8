/** Tests of the Markdown that is made of the definitions' texts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listItem, markdown } from './markdown.ts'

test('what is typed is code, and nothing else is taken for markup', () => {
  assert.equal(markdown('\n   *1G*, as `mount -a`\n   says\n'), '`1G`, as `mount -a` says')
  assert.equal(markdown('x_y <file> a*b'), 'x\\_y \\<file> a\\*b')
  assert.equal(listItem('size=SIZE', 'a share, as *50%*.'), '- `size=SIZE`: a share, as `50%`.')
})
