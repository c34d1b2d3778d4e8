/** Tests of a process that is put behind all others for a while: one of Node, which has several threads. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { test } from 'node:test'
import { setNice } from './process.ts'
import { putBack, putLast } from './process-nice.ts'

const isRoot = process.getuid?.() === 0

const niceOfThreads = (pid: number): number[] => [
  ...new Set(readdirSync(`/proc/${pid}/task`).map((tid) => getPriority(Number(tid)))),
]
const niceOfSession = (pid: number): string | undefined =>
  existsSync(`/proc/${pid}/autogroup`)
    ? /nice (\S+)/.exec(readFileSync(`/proc/${pid}/autogroup`, 'latin1'))?.[1]
    : undefined

test('all threads of a process are put last, and back', {
  skip: isRoot ? false : 'needs root',
}, async (t) => {
  const script = "process.stdout.write('up'); process.stdin.on('data', () => {})"
  const child = spawn(process.execPath, ['-e', script], {
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const pid = child.pid ?? 0
  await once(child.stdout, 'data')
  const threads = readdirSync(`/proc/${pid}/task`).map(Number)
  for (const tid of threads) setNice(tid, 3)
  const session = niceOfSession(pid)
  const nice = putLast(pid)
  if (nice === undefined) return t.skip('this process has no CAP_SYS_NICE')
  assert.equal(nice, 3)
  assert.ok(threads.length > 2, 'the test needs a process of several threads')
  assert.deepEqual(niceOfThreads(pid), [19])
  if (session !== undefined) assert.equal(niceOfSession(pid), '19')
  // One that another command has put elsewhere meanwhile stays there.
  const [, other = 0] = threads
  setNice(other, 7)
  putBack(pid, nice)
  assert.deepEqual(niceOfThreads(pid).sort(), [3, 7])
  assert.equal(getPriority(other), 7)
  assert.equal(niceOfSession(pid), session)
})

test('one that could not be put back, is last already, or has ended is left alone', {
  skip: isRoot ? false : 'needs root',
}, async () => {
  const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' })
  const pid = child.pid ?? 0
  setNice(pid, 19)
  assert.equal(putLast(pid), undefined)
  setNice(pid, 0)
  const url = new URL('./process-nice.ts', import.meta.url)
  const script = `import(${JSON.stringify(url.href)}).then(({ putLast }) => console.log(putLast(${pid})))`
  // Of the same user, but without the right to give a process a lower nice value.
  const poor = spawn('setpriv', ['--bounding-set=-sys_nice', process.execPath, '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = (await once(poor.stdout, 'data')) as [Buffer]
  assert.equal(said.toString(), 'undefined\n')
  assert.equal(getPriority(pid), 0)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal(putLast(pid), undefined)
})
