/**
 * Every crash of one pair of operations: the first is done and answered, the second is in flight. Each prefix
 * of what the second did is a crash, and so is each byte of the store that came next.
 */
import assert from 'node:assert/strict'
import { recoverImage } from '../../image/recovery.ts'
import { eachTear } from '../../image/testing/tears.ts'
import { checkCrash } from './check-crash.ts'
import { GEOMETRY, openImage, remainsOf } from './crash-server.ts'
import { CHANGES_BYTES, type OperationName, operationOf, type UPGRADE } from './operations.ts'
import { type Event, type Moment, momentOf, replayEvents } from './recording.ts'
import { contentsOf } from './shown-contents.ts'
import type { Start } from './starts.ts'

export interface Explored {
  readonly crashes: number
  readonly events: readonly Event[]
}

/**
 * Throws where a guarantee is broken. `mistaken` changes what happened: an order that was swapped, a store
 * left out.
 */
export function explorePair(
  start: Start,
  first: OperationName | typeof UPGRADE,
  second: OperationName | typeof UPGRADE,
  mistaken: (events: Event[]) => Event[] = (events) => events,
): Explored {
  const server = start()
  operationOf(first)(server)
  const remains = remainsOf(server)
  const moments: Moment[] = [momentOf(server.image)]
  const before = contentsOf(server.image.state, server.store.memory)
  server.events.length = 0
  operationOf(second)(server)
  const after = contentsOf(server.image.state, server.store.memory)
  const events = mistaken([...server.events])
  for (const event of events) if (event.kind === 'record') moments.push(event.moment)

  const firstSequence = recoverImage(remains.area, GEOMETRY).nextSequence
  /** How many of the records of the operation in flight are found: those acknowledged, or one more. */
  const foundIn = (area: Uint8Array, acknowledged: number): number => {
    const found = recoverImage(area, GEOMETRY).nextSequence - firstSequence
    assert.ok(
      found === acknowledged || found === acknowledged + 1,
      `${found} records, ${acknowledged} acknowledged`,
    )
    return found
  }
  const checked = new Set<string>()
  let [crashes, acknowledged, memories] = [0, 0, 0]
  replayEvents(remains, events, ({ area, memory }, done, next) => {
    if (done?.kind === 'record') acknowledged++
    if (done?.kind === 'memory') memories++
    crashes++
    const found = foundIn(area, acknowledged)
    assert.deepEqual(momentOf(openImage(area.slice())), moments[found])
    // What a successor does with the remains depends on the records and the memory it finds, and on nothing
    // else.
    if (!checked.has(`${found} ${memories}`)) {
      checked.add(`${found} ${memories}`)
      const maybe = CHANGES_BYTES.has(second) ? after : undefined
      if (found === moments.length - 1) checkCrash({ area, memory }, server.mistakes, after)
      else checkCrash({ area, memory }, server.mistakes, before, maybe)
    }
    if (next?.kind !== 'store') return
    crashes += next.store.bytes.length - 1
    eachTear(area, GEOMETRY, next.store, () => foundIn(area, acknowledged))
  })
  return { crashes, events }
}
