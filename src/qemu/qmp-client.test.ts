import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { QmpClient } from './qmp-client.ts'
import { QmpReader } from './qmp-messages.ts'

/** As QEMU 10.0 sends it. */
const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Debian"}, "capabilities": ["oob"]}}\r\n'
const EVENT = '{"timestamp": {"seconds": 1795343422, "microseconds": 609845}, "event": "STOP"}\r\n'

/** A real Unix socket that sends a greeting and then answers each line with what `answer` returns. */
async function serve(t: TestContext, answer: (line: string, socket: Socket) => string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'qmp-'))
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    socket.write(GREETING)
    socket.on('data', (chunk) => {
      for (const line of String(chunk).split('\n').filter(Boolean)) socket.write(answer(line, socket))
    })
  })
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
    rmSync(folder, { recursive: true })
  })
  const path = join(folder, 'qmp')
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return path
}

const idOf = (line: string): number => (JSON.parse(line) as { id: number }).id
const returning = (line: string, value: unknown = {}) =>
  `${JSON.stringify({ return: value, id: idOf(line) })}\r\n`

test('greeting, commands by id in any order, errors in the words of QEMU, events', async (t) => {
  let held = ''
  const path = await serve(t, (line) => {
    if (line.includes('"first"')) {
      held = returning(line, 1)
      return EVENT
    }
    if (line.includes('"second"')) return returning(line, 2) + held
    if (line.includes('"wrong"'))
      return `{"id": ${idOf(line)}, "error": {"class": "GenericError", "desc": "Not so"}}\r\n`
    return returning(line)
  })
  const qmp = await QmpClient.connect(path, 2000)
  t.after(() => qmp.close())
  assert.equal(qmp.version, '10.0.2')
  const first = qmp.execute('first')
  assert.equal(await qmp.execute('second'), 2)
  assert.equal(await first, 1)
  await assert.rejects(qmp.execute('wrong'), { name: 'QemuError', message: 'wrong: Not so' })
  const stop = await qmp.event(({ name }) => name === 'STOP', 1000, 'no STOP')
  assert.equal(stop.atMs, 1795343422609.845)
  assert.equal(qmp.takeEvent('STOP'), undefined, 'an event is taken once')
  await assert.rejects(
    qmp.event(({ name }) => name === 'STOP', 30, 'no STOP'),
    /no STOP within \d+ ms/,
  )
})

test('a QEMU that does not answer, sends no QMP, or ends is one clear line', async (t) => {
  const silent = await serve(t, (line) => (line.includes('qmp_capabilities') ? returning(line) : ''))
  const qmp = await QmpClient.connect(silent, 2000)
  await assert.rejects(
    qmp.execute('query-status', {}, 30),
    /^QemuError: query-status: no answer within 30 ms$/,
  )
  qmp.close()
  await assert.rejects(qmp.execute('query-status'), /closed by us/)

  const mad = await serve(t, () => 'login:\n')
  await assert.rejects(QmpClient.connect(mad, 2000), /not a QMP message: login:/)
  const gone = await serve(t, (line, socket) => {
    if (!line.includes('qmp_capabilities')) socket.destroy()
    return line.includes('qmp_capabilities') ? returning(line) : ''
  })
  const leaving = await QmpClient.connect(gone, 2000)
  await assert.rejects(leaving.execute('quit'), /^QemuError: quit: QMP socket .*: QEMU closed it$/)
  await assert.rejects(QmpClient.connect(`${gone}-not`, 2000), /ENOENT/)
})

test('QEMU carries out one command after the other, and each has its time from the last answer on', async (t) => {
  const path = await serve(t, (line, socket) => {
    if (line.includes('qmp_capabilities')) return returning(line)
    const at = Number(/"ask(\d)"/.exec(line)?.[1])
    if (at < 5) setTimeout(() => socket.write(returning(line, at)), 200 * (at + 1))
    return ''
  })
  const qmp = await QmpClient.connect(path, 2000)
  t.after(() => qmp.close())
  const asked = Array.from({ length: 6 }, (_, at) => qmp.execute(`ask${at}`, {}, 500))
  const answers = await Promise.all(asked.map((answer, at) => (at === 5 ? answer.catch(String) : answer)))
  assert.deepEqual(answers, [0, 1, 2, 3, 4, 'QemuError: ask5: no answer within 500 ms'])
})

test('messages are found however the bytes are cut', () => {
  const text = `${GREETING}${EVENT}{"return": {"a": "\\n"}, "id": 7}\r\n`
  fc.assert(
    fc.property(fc.array(fc.nat(text.length), { maxLength: 20 }), (cuts) => {
      const reader = new QmpReader()
      const edges = [0, ...cuts.sort((a, b) => a - b), text.length]
      const messages = edges.slice(1).flatMap((end, index) => reader.read(text.slice(edges[index], end)))
      assert.deepEqual(
        messages.map(({ kind }) => kind),
        ['greeting', 'event', 'return'],
      )
    }),
  )
})

test('a message without an end is refused', () => {
  const reader = new QmpReader()
  const chunk = 'x'.repeat(1 << 20)
  assert.throws(() => {
    for (let count = 0; count < 6; count++) reader.read(chunk)
  }, /without end/)
  assert.throws(() => new QmpReader().read('{"id": 1}\n'), /not a QMP message/)
})

test('a flood of events drops none of another name, kept or waited for', async (t) => {
  const flood = Array.from({ length: 5000 }, () => EVENT.replace('STOP', 'RTC_CHANGE')).join('')
  const path = await serve(t, (line) => returning(line) + (line.includes('"flood"') ? EVENT + flood : ''))
  const qmp = await QmpClient.connect(path, 2000)
  t.after(() => qmp.close())
  await qmp.execute('flood')
  // Answered when all of it was read.
  await qmp.execute('after')
  assert.equal(qmp.takeEvent('STOP')?.name, 'STOP')
  const stop = qmp.event(({ name }) => name === 'STOP', 2000, 'no STOP')
  await qmp.execute('flood')
  assert.equal((await stop).name, 'STOP')
})

test('a QEMU that answers each question in time, and there is no end of it, is an error at the deadline', async (t) => {
  const path = await serve(t, (line) => returning(line))
  const qmp = await QmpClient.connect(path, 2000)
  t.after(() => qmp.close())
  qmp.endWithin(200, 'not saved')
  await assert.rejects(async () => {
    for (;;) await qmp.execute('query-status')
  }, /^QemuError: not saved$/)
  await assert.rejects(
    qmp.event(() => true, 10_000, 'no event'),
    /not saved/,
  )
})

test('a connection whose time as a whole is over is replaced by no other, at whatever fraction of a millisecond', async (t) => {
  const path = await serve(t, (line) => (line.includes('qmp_capabilities') ? returning(line) : ''))
  for (let round = 0; round < 50; round++) {
    const qmp = await QmpClient.connect(path, 2000)
    qmp.endWithin(2 + round / 50, 'not saved')
    await assert.rejects(qmp.execute('query-status'), /not saved/)
    await assert.rejects(
      qmp.withConnection(async () => {}),
      /^QemuError: not saved$/,
    )
    qmp.close()
  }
})

test('a connection that replaces another ends at the same deadline, however often QEMU answers on it', async (t) => {
  const path = await serve(t, (line) => (line.includes('"left"') ? '' : returning(line)))
  const qmp = await QmpClient.connect(path, 2000)
  qmp.endWithin(500, 'not saved')
  await assert.rejects(qmp.execute('left', {}, 30), /no answer/)
  const began = performance.now()
  await assert.rejects(
    qmp.withConnection(async (live) => {
      // Bounds the test, where nothing else does.
      while (performance.now() - began < 5000) await live.execute('query-status')
    }),
    /^QemuError: not saved$/,
  )
})
