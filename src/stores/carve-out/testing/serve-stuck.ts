/** A server's thread that does nothing but wait for its store's worker, without an end. */
import { waitReadable } from '../../../linux/descriptors.ts'
import { WorkerClient } from '../worker-client.ts'

const client = new WorkerClient(new URL('stuck-worker.ts', import.meta.url), { how: 'hangs' })
client.send('make', [{ start: 0, lengthBytes: 4096 }], () => {})
for (;;) {
  if (waitReadable(client.wake, client.checkMs ?? -1)) client.drain()
  client.check()
}
