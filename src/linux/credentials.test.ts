import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SystemCallError } from '../values/errors.ts'
import { asUser, type Credentials, spawnAs } from './credentials.ts'

const isRoot = process.getuid?.() === 0
const skip = isRoot ? false : 'needs root'
const STRANGER = { uid: 61_234, gid: 61_235, groups: [61_236, 61_237] }

/** The fields of /proc/PID/status that say who a process is. */
const identityOf = (status: string): Record<string, string> =>
  Object.fromEntries(
    [...status.matchAll(/^(Uid|Gid|Groups|CapPrm|CapEff|CapAmb):[ \t]*(.*?)[ \t]*$/gm)].map(
      ([, key, value]) => [key, (value ?? '').replaceAll('\t', ' ')],
    ),
  )

async function statusOf(credentials: Credentials): Promise<Record<string, string>> {
  const child = spawnAs(credentials, '/bin/cat', ['/proc/self/status'], {
    env: {},
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  for await (const piece of child.stdout as NonNullable<typeof child.stdout>) text += piece
  return identityOf(text)
}

test('a program that is started has only that user’s ids, and no capability', {
  skip,
}, async () => {
  assert.deepEqual(await statusOf(STRANGER), {
    Uid: '61234 61234 61234 61234',
    Gid: '61235 61235 61235 61235',
    Groups: '61236 61237',
    ...{ CapPrm: '0000000000000000', CapEff: '0000000000000000', CapAmb: '0000000000000000' },
  })
  assert.equal((await statusOf({ ...STRANGER, groups: [] })).Groups, '')
})

test('that user cannot send this process a signal meanwhile', { skip, timeout: 60_000 }, async () => {
  // SIGUSR1 would have Node open its debugger for everyone on the machine, SIGSTOP would hold up all guests.
  const script = 'while kill -0 $$; do kill -0 "$0" 2>/dev/null && echo delivered; done'
  const attacker = spawnAs(STRANGER, '/bin/sh', ['-c', script, String(process.pid)], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let told = ''
  attacker.stdout?.on('data', (piece: Buffer) => {
    told += piece
  })
  await sleep(200)
  for (let round = 0; round < 150; round++) {
    await once(spawnAs(STRANGER, '/bin/true', [], { stdio: 'ignore' }), 'exit')
    asUser(STRANGER, () => statSync('/proc/self/status'))
  }
  attacker.kill('SIGKILL')
  await once(attacker, 'exit')
  assert.equal(told, '')
})

test('afterwards this process has its own ids again, also when the work fails', { skip }, () => {
  const before = identityOf(readFileSync('/proc/self/status', 'latin1'))
  const fail = () =>
    asUser(STRANGER, () => {
      throw new Error('work')
    })
  assert.throws(fail, /work/)
  assert.deepEqual(identityOf(readFileSync('/proc/self/status', 'latin1')), before)
  assert.equal(
    asUser(STRANGER, () => 7),
    7,
  )
  assert.deepEqual(identityOf(readFileSync('/proc/self/status', 'latin1')), before)
})

test("the work has that user's rights, and the files it makes are that user's", { skip }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'credentials-'))
  t.after(() => rmSync(folder, { recursive: true }))
  // Test folders are closed to other users: that user goes by the directory this process is in.
  const before = process.cwd()
  process.chdir(folder)
  t.after(() => process.chdir(before))
  const [secret, theirs] = ['secret', 'theirs']
  writeFileSync(secret, '', { mode: 0o600 })
  chmodSync(folder, 0o777)
  asUser(STRANGER, () => {
    assert.throws(() => readFileSync(secret), /EACCES/)
    writeFileSync(theirs, '')
  })
  assert.deepEqual([statSync(theirs).uid, statSync(theirs).gid], [61_234, 61_235])
})

test('a program that does not start is an `error` of its child, as of spawn', { skip }, async () => {
  const child = spawnAs(STRANGER, '/no/such/program', [], {})
  const [error] = (await once(child, 'error')) as [Error]
  assert.match(error.message, /ENOENT/)
})

test('only root can be another user', { skip: isRoot ? 'is root' : false }, () => {
  assert.throws(() => asUser(STRANGER, () => {}), SystemCallError)
  assert.throws(() => spawnAs(STRANGER, '/bin/true', [], {}), SystemCallError)
})

/** What a process that becomes cat(1) as another user is then. */
async function becomeCat(program: string): Promise<{ readonly output: string; readonly status: number }> {
  const script = `import { executeAs } from ${JSON.stringify(join(import.meta.dirname, 'credentials.ts'))}
    import { setCloseOnExec } from ${JSON.stringify(join(import.meta.dirname, 'descriptors.ts'))}
    for (const fd of [0, 1, 2]) setCloseOnExec(fd, false)
    const failed = executeAs(${JSON.stringify(STRANGER)}, ${JSON.stringify(program)}, ['/proc/self/status', '/proc/self/environ'], { A: 'b c' })
    process.stdout.write(String(failed) + ' ' + process.getuid())`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  let output = ''
  for await (const piece of child.stdout) output += piece
  return { output, status: (await ended)[0] }
}

test('a process that becomes a program is that user, ignores no signal, and has that environment alone', {
  skip,
}, async () => {
  const { output, status } = await becomeCat('/bin/cat')
  assert.equal(status, 0)
  assert.deepEqual(identityOf(output), {
    Uid: '61234 61234 61234 61234',
    Gid: '61235 61235 61235 61235',
    Groups: '61236 61237',
    ...{ CapPrm: '0000000000000000', CapEff: '0000000000000000', CapAmb: '0000000000000000' },
  })
  // Node ignores SIGPIPE and SIGXFSZ.
  assert.match(output, /^SigIgn:\t0000000000000000$/m)
  assert.match(output, /\nA=b c\0$/)
})

test('where the program cannot be executed, the process is itself again', { skip }, async () => {
  assert.deepEqual(await becomeCat('/bin/no-such-program'), { output: 'ENOENT 0', status: 0 })
})
