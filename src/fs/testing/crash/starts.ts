/** The states in which crashes begin: one server with all its files, and the log in each phase. */
import { ROOT_INO } from '../../../values/ids.ts'
import { Image } from '../../image/image.ts'
import { type FormatVersion, NEWEST_VERSION } from '../../image/image-format.ts'
import { roleOf } from '../../image/testing/bugs.ts'
import { State } from '../../state/state.ts'
import { ok } from '../fixture.ts'
import { type MemoryKind, MemoryStore } from '../memory-store.ts'
import {
  AREA_BYTES,
  type CrashServer,
  EXPECTED,
  GEOMETRY,
  openServer,
  remainsOf,
  TOTAL_BLOCKS,
} from './crash-server.ts'
import { populate } from './population.ts'
import { copyOf, type Event, type Mistakes, type ServerRemains } from './recording.ts'
import { MODEL_BYTES } from './shown-contents.ts'

/** The phase of the log in which the next record comes. */
export const LOG_PHASES = ['in between', 'beginning a generation', 'completing a checkpoint'] as const
export type LogPhase = (typeof LOG_PHASES)[number]

/** A server to start from, any number of times. */
export type Start = () => CrashServer

/** One start for each phase, all with the same files. */
export function starts(
  kind: MemoryKind,
  mistakes: Mistakes = {},
  version: FormatVersion = NEWEST_VERSION,
): Record<LogPhase, Start> {
  const area = new Uint8Array(AREA_BYTES)
  const identity = { poolName: 'crash', uuid: new Uint8Array(16), ...EXPECTED }
  Image.format(area, identity, State.fresh({ seconds: 0, nanoseconds: 0 }), { version })
  const memory = new MemoryStore({ ...kind, totalBlocks: TOTAL_BLOCKS, modelBytes: MODEL_BYTES })
  const server = openServer({ area, memory }, true)
  populate(server)
  let beforeSwitch = remainsOf(server)
  for (const { generation } = server.image; server.image.generation === generation; fill(server)) {
    beforeSwitch = remainsOf(server)
  }
  const switched = remainsOf(server)
  const fillers = fillersUntilCommit(switched)
  for (let i = 0; i < fillers; i++) fill(server)
  const quiet = remainsOf(server)
  const start = (remains: ServerRemains, fillers: number) => () => {
    const opened = openServer(copyOf(remains), true, mistakes)
    for (let i = 0; i < fillers; i++) fill(opened)
    opened.events.length = 0
    return opened
  }
  return {
    'in between': start(quiet, 0),
    'beginning a generation': start(beforeSwitch, 0),
    'completing a checkpoint': start(switched, fillers - 2),
  }
}

/** A short record, which fills the log. */
const fill = ({ fs, rq }: CrashServer): void => void ok(fs.setAttributes(rq(), ROOT_INO, { mode: 0o755 }))

/** How many fillers complete the checkpoint that is under way. */
function fillersUntilCommit(remains: ServerRemains): number {
  const server = openServer(copyOf(remains), true)
  const isCommit = (event: Event) =>
    event.kind === 'store' && roleOf(event.store, GEOMETRY) === 'checkpoint commit'
  for (let fillers = 1; ; fillers++) {
    fill(server)
    if (server.events.some(isCommit)) return fillers
  }
}
