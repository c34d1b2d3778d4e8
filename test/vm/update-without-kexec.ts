/**
 * A kernel update as `live-update --kernel` does it from the load to the jump, in a process of its own that
 * gets signals, and which neither loads a kernel nor jumps: `update-without-kexec.ts MOUNT-POINT SIGNAL`.
 * SIGNAL comes in the middle of the load; `-`: none. It says each step in a line, then the result as JSON.
 */
import { type Kexec, updateKernel } from '../../src/liveupdate/kernel/kernel-update.ts'
import type { NextKernel } from '../../src/liveupdate/preflight/check-next-kernel.ts'
import { vmsOfMount } from '../../src/liveupdate/vm-mounts.ts'
import { findMount } from '../../src/pool/pool-view.ts'
import { ramFileOf } from '../../src/qemu/vm-definition.ts'

const [mountPoint = '', signal = '-'] = process.argv.slice(2)
const say = (line: string): void => void process.stdout.write(`${line}\n`)

const kexec: Kexec = {
  load: () => {
    say('load')
    if (signal !== '-') process.kill(process.pid, signal)
  },
  unload: () => say('unload'),
  jump: async () => 'this test does not jump',
}

const { vms } = vmsOfMount(mountPoint)
const { pool } = findMount(mountPoint)
const result = await updateKernel(
  {
    plan: {
      via: 'kexec',
      kernel: '/nowhere',
      initrd: null,
      before: '6.12',
      next: '7.3',
      commandLine: '',
      pools: [{ pool, mountPoint, store: 'dax', by: 'carve-out' }],
      vms: [],
      left: [],
    },
    // Only `load` looks at it.
    next: undefined as unknown as NextKernel,
    vms,
    lines: new Map(),
    recorded: vms.map(({ definition }) => ramFileOf(definition)),
    timeoutMs: 20_000,
    patienceMs: 10_000,
    onProgress: say,
  },
  kexec,
)
say(JSON.stringify(result))
