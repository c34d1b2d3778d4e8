import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { neededLibraries } from './needed-libraries.ts'

test('the libraries of a program are read, and a text has none', () => {
  const libraries = neededLibraries(readFileSync(process.execPath))
  assert.ok(libraries.includes('libc.so.6'), libraries.join(' '))
  for (const name of libraries) assert.match(name, /^[\w+-]+\.so(?:\.\d+)*$/)
  assert.deepEqual(neededLibraries(Buffer.from('#!/bin/sh\n'.repeat(10))), [])
})
