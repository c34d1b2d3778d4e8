/**
 * Tests that each command that changes something logs one line of who ran it, with what result, and others
 * none; and that a closed pipe does not end a command half way. The test has a socket in place of the
 * journal's, in a mount namespace of its own.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { DatagramReceiver } from '../../src/linux/testing/datagram-receiver.ts'
import { CLI, cannotMount, testPoolName } from './support.ts'

const options = { skip: cannotMount, timeout: 90_000 }
const LOGIN_UID = 61_234
const JOURNALS_PLACE = '/run/systemd'

interface World {
  /** Runs a shell script in which `g` is the command. */
  readonly run: (script: string) => { status: number | null; stdout: string; stderr: string }
  /** Messages that the journal's socket got since the last call. */
  readonly messages: () => string[]
}

function world(t: TestContext): World {
  const folder = mkdtempSync(join(tmpdir(), 'who-'))
  mkdirSync(join(folder, 'journal'))
  const receiver = new DatagramReceiver(join(folder, 'journal/socket'))
  // A machine without systemd lacks the place.
  const isMade = mkdirSync(JOURNALS_PLACE, { recursive: true }) !== undefined
  t.after(() => {
    receiver.close()
    rmSync(folder, { recursive: true })
    if (isMade) rmdirSync(JOURNALS_PLACE)
  })
  const start = `mount --bind ${folder} ${JOURNALS_PLACE}; echo ${LOGIN_UID} >/proc/self/loginuid
    g() { ${process.execPath} ${CLI} "$@"; }`
  return {
    run: (script) => {
      const words = ['--mount', '--propagation', 'slave', 'bash', '-ec', `${start}\n${script}`]
      return spawnSync('unshare', words, { encoding: 'utf8', timeout: 80_000 })
    },
    messages: () => receiver.take().map((text) => /^MESSAGE=(.*)$/m.exec(text)?.[1] ?? text),
  }
}

const WHO = `(uid 0, login uid ${LOGIN_UID})`

test('a command that changes something logs a line, one that reads logs none', options, (t) => {
  const { run, messages } = world(t)
  const pool = testPoolName(t)
  const done = run(`
    mkdir /run/systemd/mnt /run/systemd/prefix
    g mount ${pool} /run/systemd/mnt -o size=64M
    g status ${pool}; g list; g vms; g fsck ${pool}; g report; g dump ${pool}; g help
    touch /run/systemd/mnt/file
    g freeze ${pool}
    g thaw ${pool}
    g umount ${pool}
    g mount ${pool} /run/systemd/mnt -o size=32M || echo status $?
    g umount --discard ${pool}
    g install -y --prefix /run/systemd/prefix
    g run --env TOKEN=hush --name web -- qemu-system-x86_64 -object secret,id=s,data=hush || echo status $?
    g live-update --vmm-only || echo status $?
    g live-update --kernel /none --dry-run || echo status $?
    g freeze --nonsense || echo status $?
  `)
  assert.equal(done.status, 0, done.stderr)
  assert.deepEqual(done.stdout.match(/^status \d+$/gm), Array(5).fill('status 1'))
  const mnt = '/run/systemd/mnt'
  assert.deepEqual(messages(), [
    `mount ${pool} ${mnt} -o 'size=64M': status 0 ${WHO}`,
    `freeze ${pool}: status 0 ${WHO}`,
    `thaw ${pool}: status 0 ${WHO}`,
    `umount ${pool}: status 0 ${WHO}`,
    `mount ${pool} ${mnt} -o 'size=32M': status 1 ${WHO}`,
    `umount --discard ${pool}: status 0 ${WHO}`,
    `install -y --prefix /run/systemd/prefix: status 0 ${WHO}`,
    `run --env 'TOKEN=…' --name web -- qemu-system-x86_64: begins ${WHO}`,
    `run --env 'TOKEN=…' --name web -- qemu-system-x86_64: status 1 ${WHO}`,
    `live-update --vmm-only: begins ${WHO}`,
    `live-update --vmm-only: status 1 ${WHO}`,
  ])
})

test('a reader that has closed its pipe ends no command half way', options, (t) => {
  const { run, messages } = world(t)
  const pool = testPoolName(t)
  const done = run(`
    shopt -s lastpipe
    mkdir /run/systemd/mnt
    unread() { { sleep 0.2; g "$@"; } 2>&1 | true; echo $1 \${PIPESTATUS[0]}; }
    unread mount ${pool} /run/systemd/mnt -o size=64M
    unread status ${pool}
    touch /run/systemd/mnt/file
    unread freeze ${pool}
    touch /run/systemd/mnt/other 2>&1 | grep -c busy
    unread thaw ${pool}
    touch /run/systemd/mnt/other
    g status ${pool} | head -1
    unread umount ${pool}
    mountpoint -q /run/systemd/mnt || echo gone
    unread umount --discard ${pool}
    g list | grep -c ${pool} || true
  `)
  assert.equal(done.status, 0, done.stderr)
  assert.equal(done.stderr, '')
  const said = [
    'mount 0',
    'status 141',
    'freeze 0',
    '1',
    'thaw 0',
    'POOL',
    'umount 0',
    'gone',
    'umount 0',
    '0',
  ]
  assert.deepEqual(
    done.stdout
      .replace(/^pool .*$/m, 'POOL')
      .trim()
      .split('\n'),
    said,
  )
  assert.equal(messages().length, 5)
})
