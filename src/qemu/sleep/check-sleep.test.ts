/** Tests of what keeps a guest from being suspended for its update, found before it is asked to. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { checkSleep, type SleepingMachine } from './check-sleep.ts'
import { sleepNotes } from './sleep-notes.ts'
import { type AgentAnswer, serveAgent, sound } from './testing/fake-agent.ts'

const VFIO = { items: { devices: ['vfio-pci "nic0": on pcie.0', 'virtio-serial-pci number 1: on pcie.0'] } }
const NONE = { items: { devices: ['e1000e "nic0": on pcie.0'] } }
const HEAD = /^it can be saved only while it is suspended \((VFIO device nic0|run --suspend)\): /

const lineWith = (path: string, more = 'server=on,wait=off'): string[] => [
  ...[
    'qemu-system-x86_64',
    '-chardev',
    `socket,id=qga0,path=${path},${more}`,
    '-device',
    'virtio-serial-pci',
  ],
  ...[
    '-device',
    'virtserialport,chardev=qga0,name=org.qemu.guest_agent.0',
    '-device',
    'vfio-pci,host=01:00.0,id=nic0',
  ],
]

interface Change {
  readonly status?: string
  readonly canWake?: boolean
  readonly filename?: string
  readonly isOpen?: boolean
  readonly answer?: AgentAnswer
  readonly machine?: Partial<SleepingMachine>
  readonly argv?: readonly string[]
  readonly machineType?: string
}

async function check(t: TestContext, change: Change = {}) {
  const path = await serveAgent(t, change.answer ?? sound())
  const status = change.status ?? 'running'
  const answers: Readonly<Record<string, unknown>> = {
    'query-status': { status, running: status === 'running' },
    'query-current-machine': { 'wakeup-suspend-support': change.canWake ?? true },
    'query-chardev': [
      { label: 'serial0', filename: 'file' },
      {
        label: 'qga0',
        filename: change.filename ?? `disconnected:unix:${path},server=on`,
        'frontend-open': change.isOpen ?? true,
      },
    ],
  }
  const argv = [...(change.argv ?? lineWith(path))]
  return await checkSleep(
    { execute: async (command) => answers[command] },
    {
      definition: { argv, cwd: '/', machineType: change.machineType ?? 'pc' },
      pid: process.pid,
      version: '10.0.2',
      now: VFIO,
      ...change.machine,
    },
  )
}

test('a guest with a VFIO device whose agent answers sleeps, and one without sleeps where it is asked for', async (t) => {
  const { sleeps, problems, remarks } = await check(t)
  assert.deepEqual([sleeps, problems, remarks.length], [true, [], 1])
  assert.deepEqual(await check(t, { machine: { now: NONE } }), { sleeps: false, problems: [], remarks: [] })
  const path = await serveAgent(t, sound())
  const definition = { argv: lineWith(path), cwd: '/', suspends: true, machineType: 'pc' }
  assert.equal((await check(t, { machine: { now: NONE, definition } })).sleeps, true)
})

test('a guest that is suspended already needs no agent', async (t) => {
  const { sleeps, problems, remarks } = await check(t, { status: 'suspended', argv: ['qemu'] })
  assert.deepEqual([sleeps, problems, remarks], [false, [], ['it is suspended, and stays so']])
})

test('what keeps it from being suspended is named in one line', async (t) => {
  const path = '/run/qga'
  for (const [change, what] of [
    [{ machine: { version: '8.2.9' } }, /QEMU 8\.2\.9 does not, take 9\.0\.0 or newer$/],
    [{ status: 'paused' }, /it is paused: continue it/],
    [{ canWake: false }, /nothing could wake its machine/],
    [
      { argv: ['qemu', '-device', 'vfio-pci,host=01:00.0'] },
      /no port of a guest agent: start it with -chardev /,
    ],
    [{ argv: lineWith(path, 'server=off') }, /no socket at a path with server=on/],
    [{ argv: lineWith(path, 'server=on,abstract=on') }, /no socket at a path with server=on/],
    [{ filename: 'unix:/run/qga,server=on' }, /another program is connected to its agent's socket/],
    [{ isOpen: false }, /no agent in the guest has opened its port: install and start qemu-guest-agent/],
    [{ answer: sound(undefined, false) }, /its agent does not allow guest-suspend-ram$/],
    [{ machine: { pid: process.ppid } }, /is not its QEMU's$/],
    [{ machineType: 'pc-q35-10.0' }, /SeaBIOS gives a q35 machine its ACPI registers at power-on alone/],
  ] satisfies [Change, RegExp][]) {
    const { sleeps, problems } = await check(t, change)
    assert.equal(sleeps, false)
    assert.match(problems.join('\n'), HEAD)
    assert.match(problems.join('\n'), what)
    assert.equal(problems.length, 1)
  }
})

test('run says what a guest with a VFIO device lacks, and refuses --suspend without a port', () => {
  const machineType = 'pc'
  const definition = { argv: lineWith('/run/qga'), cwd: '/', machineType }
  assert.deepEqual(sleepNotes(definition), [])
  const without = { argv: ['qemu', '-device', 'vfio-pci,host=01:00.0'], cwd: '/', machineType }
  assert.match(sleepNotes(without).join(), /^it has a VFIO device, .*; its line has no port of a guest agent/)
  assert.throws(
    () => sleepNotes({ argv: ['qemu'], cwd: '/', suspends: true, machineType }),
    /--suspend: its line has no port/,
  )
  assert.deepEqual(sleepNotes({ argv: ['qemu'], cwd: '/', machineType }), [])
  const q35 = { ...definition, machineType: 'pc-q35-10.0' }
  assert.match(sleepNotes(q35).join(), /^it has a VFIO device, .*; SeaBIOS gives a q35 machine/)
  assert.throws(() => sleepNotes({ ...q35, suspends: true }), /--suspend: SeaBIOS gives a q35 machine/)
})
