/**
 * Serves one connection until it is gone: completes what a former server left, then gives the session its
 * host, made of dispatch (requests) and maintenance (the work between them). Wiring only.
 */
import type { FileSystem } from '../fs/file-system.ts'
import type { Image } from '../fs/image/image.ts'
import { type SessionHost, serve } from '../fuse/session.ts'
import type { Store } from '../stores/store.ts'
import type { Fd } from '../values/ids.ts'
import { AccessTimes } from './access-times.ts'
import { Context } from './context.ts'
import { Dispatcher } from './dispatch.ts'
import { KernelView } from './kernel-view.ts'
import { Maintenance } from './maintenance.ts'
import { ParkedRequests } from './parked-requests.ts'
import type { RuntimeArea } from './runtime-area.ts'
import { resendPort, Successor } from './successor.ts'

export interface Connection {
  readonly fs: FileSystem
  readonly image: Image
  readonly store: Store
  readonly runtime: RuntimeArea
  readonly fuse: Fd
  readonly report: (line: string) => void
  /** The value to store in the root's alignment xattr; null: leave it. */
  readonly alignBytes: number | null
  /** Called once, before the server reads the first request. */
  readonly whenServing: () => void
}

/** Returns when the connection is gone. */
export function serveConnection(connection: Connection): void {
  const { fs, image, store, runtime, fuse, report, alignBytes, whenServing } = connection
  const kernel = new KernelView(runtime, fuse, (ino) => fs.inode(ino))
  const accessTimes = new AccessTimes(image.identity.poolName)
  const parked = new ParkedRequests()
  const context = new Context({ fs, store, kernel, runtime, parked, accessTimes })
  // What a former server applied last, and perhaps never answered. Read before this server changes anything.
  const applied = image.lastOrigin
  const dispatcher = new Dispatcher({ context, runtime, applied, report })
  const maintenance = new Maintenance(context, alignBytes)
  // A new connection gets an epoch that no record names: a request of a former one may have had the same id.
  const nextEpoch = (applied?.epoch ?? 0) + 1

  const successor = runtime.isEstablished ? new Successor(resendPort(fuse), runtime, applied) : undefined
  if (successor !== undefined) {
    kernel.closeLostBacking()
    kernel.takeOver(fs.orphans())
  }
  fs.recover(context.internal, (ino) => kernel.isReferenced(ino))

  const host: SessionHost = {
    handle: (request, reply) => dispatcher.handle(request, reply),
    negotiated: (session) => runtime.establish(nextEpoch, session),
    ...(successor && {
      admit: (request) => successor.admit(request),
      afterRefusal: (header) => successor.afterRefusal(header),
    }),
    beforeReply: ({ header }) => kernel.beforeReply(header.unique),
    afterReply: (_request, delivered) => {
      kernel.afterReply(delivered)
      maintenance.afterReply()
    },
    afterNoReply: () => maintenance.afterNoReply(),
    hasIdleWork: () => maintenance.hasIdleWork,
    whenIdle: () => maintenance.whenIdle(),
    betweenRequests: () => maintenance.betweenRequests(),
    timerMs: () => maintenance.timerMs,
    onTimer: (answer) => {
      maintenance.onTimer()
      dispatcher.retryParked(answer)
    },
    eventsFd: () => maintenance.eventsFd,
    onEvents: (answer) => {
      maintenance.onEvents()
      dispatcher.retryParked(answer)
    },
    report,
  }

  maintenance.start()
  whenServing()
  serve(fuse, host)
  maintenance.end()
}
