/**
 * A takeover by the unit that is refused, and goes on to be: the unit tries again ever more seldom, a request
 * to mount is answered meanwhile, and a takeover after a death is as fast as before.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { cannotMount } from './support.ts'
import { cannotRunSystemd, startUnitHost } from './systemd-host.ts'

const options = { skip: cannotMount || cannotRunSystemd, timeout: 300_000 }
/** Pauses of 0.2 s, 0.4 s, …: in this time there is room for six, each after a start of the unit. */
const REFUSED_MS = 15_000
const MOST_STARTS = 7
/**
 * Flips a bit in the commit words of both checkpoints, which a server reads at its start alone; again, and
 * they are whole. The header, which says where they are, stays readable: a command that looks for the holder
 * of another pool meanwhile must see that this is not it.
 */
const FLIP = `
for fd in /proc/$1/fd/*; do
  case $(readlink "$fd") in "/memfd:guestmemfs:image"*) image=$fd ;; esac
done
for at in $(od -An -tu8 -j48 -N16 "$image"); do
  byte=$(od -An -tu1 -j"$at" -N1 "$image")
  printf "\\\\$(printf %o $((byte ^ 128)))" | dd of="$image" bs=1 seek="$at" conv=notrunc status=none
done`

test('a takeover that is refused again and again does not keep the machine busy', options, async (t) => {
  const { folder, run, guestmemfs, good, until, show } = await startUnitHost(t)
  const [pool, mnt] = ['kept', join(folder, 'mnt')]
  mkdirSync(mnt)
  good('mount', pool, mnt, '-o', 'size=64M')
  assert.equal(run('sh', '-ec', `echo here >${mnt}/file`).status, 0)
  const mainPid = (): number => Number(show(pool, 'MainPID'))
  const starts = (): number => Number(show(pool, 'NRestarts'))
  const server: number = JSON.parse(good('status', '--json', pool)).server.pid
  const flip = (): void => assert.deepEqual(run('sh', '-ec', FLIP, 'sh', String(server)).output, '')
  const isServed = (): void => assert.equal(run('cat', join(mnt, 'file')).output, 'here\n')

  await t.test('the unit tries ever more seldom, and the server serves on', async () => {
    flip()
    const before = starts()
    run('kill', '-9', String(mainPid()))
    await until('it has tried twice', () => starts() >= before + 2)
    await sleep(REFUSED_MS)
    const tried = starts() - before
    t.diagnostic(`${tried} starts in ${REFUSED_MS} ms`)
    assert.ok(tried <= 2 + MOST_STARTS, `${tried} starts`)
    isServed()
  })

  await t.test('`mount` meanwhile has the reason, and when there is none any more, the pool', async () => {
    const refused = guestmemfs('mount', pool, mnt)
    assert.equal(refused.status, 1)
    assert.match(refused.output, /^guestmemfs: pool 'kept': the image has no complete checkpoint\n$/)
    isServed()
    flip()
    assert.match(good('mount', pool, mnt), /its keeper had died: a new one took over/)
    isServed()
  })

  await t.test('the next death is followed by a takeover at once', async () => {
    for (let round = 0; round < 3; round++) {
      const [keeper, before] = [mainPid(), starts()]
      run('kill', '-9', String(keeper))
      await until('another keeper', () => ![0, keeper].includes(mainPid()))
      assert.equal(starts(), before + 1)
      isServed()
    }
  })

  await t.test('a pool is discarded while the unit waits', async () => {
    const next: number = JSON.parse(good('status', '--json', pool)).server.pid
    assert.equal(run('sh', '-ec', FLIP, 'sh', String(next)).output, '')
    const before = starts()
    run('kill', '-9', String(mainPid()))
    await until('it has tried', () => starts() >= before + 2)
    assert.match(good('umount', '--discard', pool), /unmounted and discarded/)
    await until('the unit has ended', () => show(pool, 'ActiveState') === 'inactive')
    assert.equal(run('sh', '-c', `ls /run/guestmemfs/pools/${pool}.refused`).status, 2)
  })
})
