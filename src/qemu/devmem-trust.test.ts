import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { UsageError } from '../values/errors.ts'
import { checkDevmemTrust, type DevmemGuest, trustedProgram } from './devmem-trust.ts'

const GUEST: DevmemGuest = { uid: 1000, store: 'devmem', isTrusted: false, extraEnvironment: [] }

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'trusted-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test("another user's devmem guest is refused in one line unless the user is trusted", () => {
  assert.throws(
    () => checkDevmemTrust(GUEST),
    (error) =>
      error instanceof UsageError &&
      /--trust-devmem/.test(error.message) &&
      /every guest's RAM/.test(error.message) &&
      !error.message.includes('\n'),
  )
  checkDevmemTrust({ ...GUEST, isTrusted: true })
  checkDevmemTrust({ ...GUEST, uid: 0 })
  for (const store of ['memfd', 'dax', undefined]) checkDevmemTrust({ ...GUEST, store })
})

test('nor may a trusted one bring variables of its own', () => {
  const extraEnvironment = ['LD_PRELOAD=/home/alice/x.so']
  assert.throws(() => checkDevmemTrust({ ...GUEST, isTrusted: true, extraEnvironment }), /--env is not for/)
  checkDevmemTrust({ ...GUEST, uid: 0, extraEnvironment })
})

test('a program that others than root can change is not started as root', (t) => {
  assert.equal(trustedProgram('/bin/sh'), realpathSync('/bin/sh'))
  const folder = folderOf(t)
  const program = join(folder, 'qemu')
  writeFileSync(program, '')
  chmodSync(program, 0o757)
  assert.throws(() => trustedProgram(program), /others than root can change .*qemu/)
  chmodSync(program, 0o755)
  chmodSync(folder, 0o777)
  assert.throws(() => trustedProgram(program), UsageError)
})

test('the program that was checked is started, not the link to it, which may change', (t) => {
  const link = join(folderOf(t), 'qemu')
  symlinkSync('/bin/sh', link)
  assert.equal(trustedProgram(link), realpathSync('/bin/sh'))
})
