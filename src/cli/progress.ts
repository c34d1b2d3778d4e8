/**
 * Progress of an update of VMs: a live list on a terminal, one line for each VM that is done elsewhere, and
 * nothing with --json.
 */
import type { Phase, VmTimeline } from '../liveupdate/report/timeline.ts'
import type { VmProgress } from '../liveupdate/update-view.ts'
import { formatDuration } from '../values/duration.ts'
import { print } from './print.ts'

/** The next phase after each, in words. */
const DOING: Readonly<Record<Phase, string>> = {
  save: 'saved, ending its QEMU',
  quit: 'starting the new QEMU',
  freeze: 'waiting for the kexec',
  preserve: 'waiting for the kexec',
  jump: 'starting the kernel',
  boot: 'mounting',
  mount: 'waiting',
  wait: 'starting its QEMU',
  launch: 'waiting for its QEMU',
  start: 'loading',
  load: 'continuing',
  continue: 'runs',
}

export function showProgress(names: readonly string[], isQuiet: boolean): VmProgress {
  if (isQuiet) return { onPhase: () => {}, onDone: () => {}, until: (work) => work }
  if (!process.stdout.isTTY) return plainLines()
  return liveList(names)
}

function plainLines(): VmProgress {
  return { onPhase: () => {}, onDone: (result) => print(summary(result)), until: (work) => work }
}

function summary({ name, outcome, blackoutUs }: VmTimeline): string {
  return blackoutUs === null
    ? `${name}: ${outcome}`
    : `${name}: ${outcome}, blackout ${formatDuration(blackoutUs)}`
}

function liveList(names: readonly string[]): VmProgress {
  const rows = new Map<string, Row>(
    names.map((name) => [name, { done: Promise.withResolvers<VmTimeline>(), show: () => {} }]),
  )
  return {
    onPhase: (name, phase) => rows.get(name)?.show(`${name}: ${DOING[phase]}`),
    onDone: (result) => rows.get(result.name)?.done.resolve(result),
    until: async (work) => {
      // A refusal before any VM was touched ends the list without a result for its rows.
      work.catch((error: unknown) => {
        for (const { done } of rows.values()) done.reject(error)
      })
      await showRows(rows)
      return await work
    },
  }
}

interface Row {
  readonly done: PromiseWithResolvers<VmTimeline>
  show: (text: string) => void
}

/** The package is loaded only for a terminal, so that no guest waits for it after a kexec. */
async function showRows(rows: ReadonlyMap<string, Row>): Promise<void> {
  const { Listr } = await import('listr2')
  const tasks = [...rows].map(([name, row]) => ({
    title: `${name}: looking`,
    task: async (_: unknown, task: { title: string }) => {
      row.show = (text) => {
        task.title = text
      }
      const result = await row.done.promise
      task.title = summary(result)
      if (result.problem !== null) throw new Error(summary(result))
    },
  }))
  await new Listr(tasks, { concurrent: true, exitOnError: false }).run()
}
