import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Command } from 'commander'
import { command as install } from '../commands/install.ts'
import { command as uninstall } from '../commands/uninstall.ts'
import { LIBVIRT_HOOK } from '../host/libvirt-files.ts'
import { sha256Of } from '../host/versions/version-folder.ts'
import { LIBVIRT_PATHS } from '../values/libvirt-paths.ts'
import { removeDomainRecord } from './domain-record.ts'
import { refuseWhileSaved } from './set-up.ts'
import { UUID } from './testing/domain-xml.ts'
import { newLibvirt, save } from './testing/saved-domain.ts'

/** Below a prefix, as `install --libvirt` has left it. */
async function installedAndSaved(t: TestContext): Promise<{ prefix: string; hook: string }> {
  const prefix = realpathSync(mkdtempSync(join(tmpdir(), 'libvirt-prefix-')))
  t.after(() => rmSync(prefix, { recursive: true }))
  const hook = join(prefix, LIBVIRT_HOOK)
  mkdirSync(dirname(hook), { recursive: true })
  writeFileSync(hook, 'the hook')
  const manifest = { format: 1, files: [{ path: LIBVIRT_HOOK, sha256: sha256Of('the hook') }], folders: [] }
  mkdirSync(join(prefix, 'var/lib/guestmemfs'), { recursive: true })
  writeFileSync(join(prefix, 'var/lib/guestmemfs/installed.json'), JSON.stringify(manifest))
  const libvirt = newLibvirt(t)
  libvirt.start()
  await save(libvirt)
  cpSync(libvirt.paths.records, join(prefix, LIBVIRT_PATHS.records), { recursive: true })
  return { prefix, hook }
}

async function typed({ register }: typeof install, ...words: string[]): Promise<void> {
  const program = new Command()
  register(program, {})
  await program.parseAsync(words, { from: 'user' })
}

test('the hook stays while a guest is saved: libvirt would start its domain anew', async (t) => {
  const { prefix, hook } = await installedAndSaved(t)
  const why = /without the hook libvirt would start web anew, .* 'guestmemfs resume' first$/
  await assert.rejects(typed(uninstall, '--prefix', prefix), why)
  await assert.rejects(typed(install, '--no-libvirt', '--yes', '--prefix', prefix), why)
  assert.ok(existsSync(hook))
  const records = join(prefix, LIBVIRT_PATHS.records)
  writeFileSync(join(records, `${UUID}.json`), '{')
  assert.throws(() => refuseWhileSaved(prefix), /is no record of a domain/)
  removeDomainRecord(UUID, records)
  refuseWhileSaved(prefix)
})

test('where the hook is not installed a record is no reason', async (t) => {
  const { prefix } = await installedAndSaved(t)
  rmSync(join(prefix, 'var/lib/guestmemfs/installed.json'))
  refuseWhileSaved(prefix)
})
