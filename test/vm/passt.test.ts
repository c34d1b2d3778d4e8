/** Tests of a guest whose network is passt, which serves one QEMU: each QEMU gets another one. */
import assert from 'node:assert/strict'
import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { findHelper, missingHelper } from '../../testbed/debian/helpers.ts'
import { helperFolder } from './helper-processes.ts'
import { mountVmPool, qemuPid, startTinyVm, updateVmm } from './support.ts'

const options = { skip: await missingHelper('passt'), timeout: 300_000 }

const pidIn = (path: string): string => readFileSync(path, 'utf8').trim()

for (const [kind, flag, network] of [
  ['stream', '', 'stream,id=net0,addr.type=unix,addr.path=FOLDER/passt,server=off'],
  ['vhost-user', '--vhost-user', 'vhost-user,id=net0,chardev=passt0'],
] as const)
  test(
    `a network of passt (${kind}) is there for the next QEMU, and the update warns that connections end`,
    options,
    async (t) => {
      const pool = await mountVmPool(t)
      const folder = helperFolder(t, pool)
      chmodSync(folder, 0o777) // started by root, passt becomes nobody
      const words = `rm -f FOLDER/passt; ${await findHelper('passt')} --one-off ${flag} --socket FOLDER/passt --pid FOLDER/pid --log-file FOLDER/log`
      const before = words.replaceAll('FOLDER', folder)
      const chardev = kind === 'stream' ? [] : ['-chardev', `socket,id=passt0,path=${folder}/passt`]
      const vm = await startTinyVm(t, pool, `passt-${kind}`, {
        options: [
          ...chardev,
          ...[
            '-netdev',
            network.replaceAll('FOLDER', folder),
            '-device',
            'virtio-net-pci,netdev=net0,romfile=',
          ],
        ],
        runOptions: ['--before', before],
      })
      const [qemu, helper] = [qemuPid(vm.name), pidIn(join(folder, 'pid'))]
      const { status, stderr, report } = await updateVmm(pool)
      assert.equal(status, 0, `${stderr}${JSON.stringify(report)}${vm.errors()}`)
      assert.match(
        stderr,
        new RegExp(`its network net0 \\(${kind}\\) is connected anew: connections through a helper`),
      )
      assert.notEqual(qemuPid(vm.name), qemu)
      assert.notEqual(pidIn(join(folder, 'pid')), helper, 'another passt serves it')
      await vm.serial.moreTicks(2)
      assert.equal(vm.serial.findBreak(), undefined)
    },
  )
