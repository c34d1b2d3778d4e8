/** Tests of the words that the oldest tree gets. No mount is needed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formerPrinted, formerWords } from './former-words.ts'

const former = (line: string): string => formerWords(line.split(' ')).join(' ')

test('a time is milliseconds, in an option of that name', () => {
  assert.equal(former('live-update --vmm-only --timeout 5s'), 'live-update --vmm-only --timeout-ms 5000')
  assert.equal(former('resume --timeout 500ms --json'), 'resume --timeout-ms 500 --json')
})

test('a pool is an option where today it is an argument, and the names of VMs are arguments', () => {
  assert.equal(former('vms /mnt --json'), 'vms --mount /mnt --json')
  assert.equal(
    former('live-update --vmm-only /mnt --name web --qemu /bin/qemu'),
    'live-update --vmm-only --mount /mnt --name web --qemu /bin/qemu',
  )
  assert.equal(
    former('live-update --kernel /boot/vmlinuz pool'),
    'live-update --kernel /boot/vmlinuz --mount pool',
  )
  assert.equal(former('resume pool --name web --name db'), 'resume --mount pool web db')
  assert.equal(former('status pool --json'), 'status pool --json')
})

test('words of another program stay', () => {
  assert.equal(
    former('run --pool p --name web -- qemu --pool x'),
    'run --mount p --name web -- qemu --pool x',
  )
})

test('what it prints gets the names that lists have today', () => {
  assert.deepEqual(formerPrinted('vms', '[{"name":"web"}]\n'), { vms: [{ name: 'web' }] })
  assert.deepEqual(formerPrinted('list', '[]'), { pools: [] })
  assert.deepEqual(formerPrinted('resume', '{"vms":[]}\n{"vms":[]}\n'), {
    reports: [{ vms: [] }, { vms: [] }],
  })
  assert.deepEqual(formerPrinted('live-update', ''), { reports: [] })
  assert.deepEqual(formerPrinted('fsck', '{"findings":[]}'), { findings: [] })
})
