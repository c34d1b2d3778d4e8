import assert from 'node:assert/strict'
import { test } from 'node:test'
import { longestSection } from './longest-section.ts'
import { sampleUpdate } from './testing/sample-updates.ts'

const KERNEL = { before: '6.12', after: '7.3', wanted: '7.3', via: 'kexec', clockUncertaintyUs: 0 } as const
const sectionOf = (early: readonly string[] | undefined): string =>
  longestSection(sampleUpdate({ kernel: { ...KERNEL, ...(early && { early: [...early] }) } })).text

test('guests that could have gone on before their mount are named with the reason', () => {
  const section = sectionOf(['web: /srv is not mounted', 'db: its tap is not there'])
  assert.match(section, /could have gone on before the mount of their pool/)
  assert.match(section, /<li><bdi>web: \/srv is not mounted<\/bdi><\/li>/)
  assert.match(section, /<li><bdi>db: its tap is not there<\/bdi><\/li>/)
})

test('where none waited in vain, or nothing is known of it, the section says nothing of it', () => {
  for (const early of [[], undefined]) assert.doesNotMatch(sectionOf(early), /before the mount/)
})
