/** `guestmemfs before-libvirt`, for the units of libvirt's daemons alone: their ExecStartPre=. */
import type { CommandModule } from '../cli/command.ts'
import { complain } from '../cli/print.ts'
import { prepareForLibvirt } from '../liveupdate/domains/prepare-for-libvirt.ts'

export const command: CommandModule = {
  name: 'before-libvirt',
  group: undefined,
  summary: '',
  changes: true,
  register: (command) =>
    command.action(() => {
      const problems = prepareForLibvirt()
      for (const problem of problems) complain(problem)
      if (problems.length > 0) process.exitCode = 1
    }),
}
