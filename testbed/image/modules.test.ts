/** Tests of the choice of kernel modules. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { collectModules, readDepends, readModinfo, writeModulesAlias, writeModulesDep } from './modules.ts'

function moduleBytes(depends: string, ...aliases: string[]): Buffer {
  const lines = ['\x7fELF', 'license=GPL', ...aliases.map((alias) => `alias=${alias}`), `depends=${depends}`]
  return Buffer.from(`${lines.join('\0')}\0name=x\0`, 'latin1')
}

test('the modules that a module needs are in its .modinfo', () => {
  assert.deepEqual(readDepends(moduleBytes('kvm,irqbypass')), ['kvm', 'irqbypass'])
  assert.deepEqual(readDepends(moduleBytes('snd-pcm')), ['snd_pcm'])
  assert.deepEqual(readDepends(moduleBytes('')), [])
  assert.deepEqual(readDepends(Buffer.from('no module')), [])
})

test('a module may have many aliases, and the kernel finds it by each', () => {
  const bytes = moduleBytes('', 'char-major-10-200', 'devname:net/tun')
  const aliases = readModinfo(bytes, 'alias')
  assert.equal(
    writeModulesAlias([{ name: 'tun', path: 'net/tun.ko', bytes, depends: [], aliases }]),
    'alias char-major-10-200 tun\nalias devname:net/tun tun\n',
  )
})

test('modules come after what they need, unknown ones are left out, and the files of modprobe list them', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'testbed-modules-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const files = {
    'kvm/kvm-amd.ko': 'kvm',
    'kvm/kvm.ko': 'irqbypass',
    'lib/irqbypass.ko': '',
    'net/tun.ko': '',
  }
  for (const [path, depends] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), moduleBytes(depends))
  }
  writeFileSync(join(folder, 'modules.order'), `${Object.keys(files).join('\n')}\n`)
  const kernel = { release: '1', vmlinuz: '/none', modules: folder }
  const modules = await collectModules(kernel, ['kvm_amd', 'not_there'], ['false'])
  assert.deepEqual(
    modules.map(({ name }) => name),
    ['irqbypass', 'kvm', 'kvm_amd'],
  )
  assert.equal(
    writeModulesDep(modules),
    'lib/irqbypass.ko:\nkvm/kvm.ko: lib/irqbypass.ko\nkvm/kvm-amd.ko: kvm/kvm.ko lib/irqbypass.ko\n',
  )
})
