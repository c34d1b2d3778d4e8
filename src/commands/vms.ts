/** `guestmemfs vms`: the VMs that are recorded in the mounts. */
import type { CommandModule } from '../cli/command.ts'
import { poolArgument } from '../cli/pool-argument.ts'
import { complain, print, printJson, printTable } from '../cli/print.ts'
import { listGuests } from '../liveupdate/list-guests.ts'
import { formatSize } from '../values/size.ts'

export const command: CommandModule = {
  name: 'vms',
  group: 'Guests',
  summary: 'list the VMs whose RAM is in a mount: running, stopped by an update, saved, or dead',
  description: `
    It needs root: a mount shows to root alone which files are in it. State running: its QEMU is alive.
    stopped by an update: its QEMU is alive, and an update that was killed has left the guest stopped.
    saved: 'guestmemfs resume' starts it. dead: its QEMU was killed; the RAM is there, the rest of the
    guest is not. Domains of libvirt with their RAM in a pool are among them; each that libvirt runs
    elsewhere is named with the reason.`,
  exitStatus: {
    0: 'every VM is listed',
    1: 'a mount or a record could not be read; the VMs of all others are listed',
  },
  examples: [{ about: 'the names of all VMs', typed: "guestmemfs vms --json | jq -r '.vms[].name'" }],
  seeAlso: ['guestmemfs-run(8)', 'guestmemfs-resume(8)', 'guestmemfs-list(8)'],
  changes: false,
  register: (command) =>
    poolArgument(command, 'all')
      .option('--json', 'print JSON')
      .action(async (named: string | undefined, options: { json?: true }) => {
        const { guests, problems, remarks } = await listGuests(named, true)
        for (const line of [...problems, ...remarks]) complain(line)
        if (problems.length > 0) process.exitCode = 1
        if (options.json) return printJson<'vms'>({ vms: guests })
        if (guests.length === 0) return print('no VMs')
        printTable(
          ['VM', 'STATE', 'PID', 'USER', 'RAM', 'FILE', 'MACHINE', 'QEMU'],
          guests.map((vm) => [
            vm.name,
            vm.state === 'stopped' ? 'stopped by an update' : vm.state,
            String(vm.pid ?? '-'),
            String(vm.uid),
            formatSize(vm.ramBytes),
            vm.ramFiles.map(({ path }) => path).join(' '),
            vm.machineType,
            vm.qemuVersion,
          ]),
        )
      }),
}
