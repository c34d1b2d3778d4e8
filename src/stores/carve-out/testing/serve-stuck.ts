/** A server's thread, as far as its store goes: it blocks until its worker has done something, for ever. */
import { waitReadable } from '../../../linux/descriptors.ts'
import { WorkerClient } from '../worker-client.ts'

const client = new WorkerClient(new URL('stuck-worker.ts', import.meta.url), { how: 'hangs' })
client.ask('make', [{ start: 0, lengthBytes: 4096 }], () => {})
for (;;) {
  if (waitReadable(client.wake, client.checkMs ?? -1)) client.drain()
  client.check()
}
