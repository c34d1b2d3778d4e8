/** The options of mount(8) and of tmpfs: each has its documented effect, or is refused in one line. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { mountTable } from '../../src/linux/mounts.ts'
import { cannotMount, guestmemfs, printed, testMountPoint, testPoolName } from './support.ts'

function optionsOf(target: string) {
  const mount = mountTable().find((each) => each.target === target)
  assert.ok(mount, `${target} is not mounted`)
  return mount
}

function root(mountPoint: string): string {
  const { mode, uid, gid } = fs.statSync(mountPoint)
  return `${(mode & 0o7777).toString(8)} ${uid}:${gid}`
}

async function mounted(t: TestContext, options: string) {
  const [pool, mountPoint] = [testPoolName(t), testMountPoint(t)]
  const again = (words = options) => guestmemfs('mount', pool, mountPoint, '-o', words)
  const { status, stderr } = await again()
  assert.equal(status, 0, stderr)
  return { pool, mountPoint, again }
}

test('mount options', { skip: cannotMount, timeout: 120_000 }, async (t) => {
  await t.test('mode=, uid= and gid= make the root directory of an empty pool, and no other', async (t) => {
    const { pool, mountPoint, again } = await mounted(t, 'size=32M,mode=1750,uid=107,gid=108')
    assert.equal(root(mountPoint), '1750 107:108')
    fs.chmodSync(mountPoint, 0o711)
    fs.writeFileSync(`${mountPoint}/file`, '')
    assert.equal((await guestmemfs('umount', pool)).status, 0)
    const { status, stderr } = await again('mode=1750,uid=107,gid=108')
    assert.equal(status, 0, stderr)
    assert.equal(root(mountPoint), '711 107:108', 'what chmod gave is never altered')
    assert.match(stderr, /^guestmemfs: .*: the root directory stays 711 107:108: .* chmod and chown\n$/)
  })

  await t.test('a successor does not set them again', async (t) => {
    const { pool, mountPoint } = await mounted(t, 'size=32M,mode=0700')
    fs.chmodSync(mountPoint, 0o755)
    const listed = (await printed('list')).pools.find((each) => each.pool === pool)
    process.kill(listed?.serverPid as number, 'SIGKILL')
    assert.equal(fs.readdirSync(mountPoint).length, 0)
    fs.writeFileSync(`${mountPoint}/file`, '')
    assert.equal(root(mountPoint), '755 0:0')
  })

  await t.test('the mount has the flags, of two opposites the later one', async (t) => {
    const words =
      'size=32M,noexec,nosuid,nodev,noatime,nodiratime,nosymfollow,lazytime,ro,rw,nofail,x-systemd.a=b'
    const { options, superOptions } = optionsOf((await mounted(t, words)).mountPoint)
    for (const word of ['rw', 'noexec', 'nosuid', 'nodev', 'noatime', 'nodiratime', 'nosymfollow'])
      assert.ok(options.includes(word), `${word}: ${options}`)
    assert.ok(superOptions.includes('lazytime'), String(superOptions))
  })

  await t.test('size=50% is half of the memory, as of tmpfs', async (t) => {
    const { mountPoint } = await mounted(t, 'size=50%')
    const { bsize, blocks } = fs.statfsSync(mountPoint)
    const total = Number(/^MemTotal:\s+(\d+)/m.exec(fs.readFileSync('/proc/meminfo', 'latin1'))?.[1]) * 1024
    assert.equal(blocks, Math.floor(total / 2 / bsize))
  })
})

test('a remount changes flags, and is refused where it would change what it cannot', {
  skip: cannotMount,
  timeout: 90_000,
}, async (t) => {
  const { pool, mountPoint, again } = await mounted(t, 'size=64M,noatime')
  const says = async (words: string) => {
    const { status, stderr } = await again(words)
    assert.ok(stderr === '' || /^guestmemfs: [^\n]+\n$/.test(stderr), stderr)
    return `${status} ${stderr}`
  }
  assert.match(await says('remount,size=1M'), /^1 .*size 1M is smaller than one block of 2M/)
  assert.match(await says('remount,size=100T'), /^1 .*larger than this machine's memory/)
  assert.match(await says('remount,store=dax'), /^1 .*store=memfd, which cannot be changed/)
  assert.match(await says('remount,sise=2G'), /^1 .*unknown mount option 'sise=2G'/)
  assert.ok(optionsOf(mountPoint).options.includes('noatime'), 'a refusal changes nothing')

  // As mount(8) passes it: the options of the mount, and those of the fstab line.
  assert.equal(
    await says('ro,remount,nosuid,user_id=0,group_id=0,default_permissions,allow_other,size=64M,nofail'),
    '0 ',
  )
  const { options, superOptions } = optionsOf(mountPoint)
  // The kernel keeps the atime option where a remount gives none.
  assert.deepEqual([options.includes('nosuid'), options.includes('noatime')], [true, true])
  assert.ok(superOptions.includes('ro'))
  assert.throws(() => fs.writeFileSync(`${mountPoint}/file`, ''), { code: 'EROFS' })
  assert.equal(await says('remount,rw,relatime'), '0 ')
  assert.ok(!optionsOf(mountPoint).options.includes('noatime'))
  fs.writeFileSync(`${mountPoint}/file`, '')
  assert.equal((await guestmemfs('mount', 'another', mountPoint, '-o', 'remount,ro')).status, 1)
  assert.equal((await guestmemfs('mount', pool, '/nonexistent', '-o', 'remount,ro')).status, 1)
})
