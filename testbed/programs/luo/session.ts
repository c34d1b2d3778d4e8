/**
 * Another user of /dev/liveupdate, for scenarios:
 *
 *   create NAME   makes a session of that name for the next kernel, and holds it
 *   find NAME     takes the session of that name that the former kernel handed over, and holds it
 *   steal NAME takes it and ends, so that the kernel frees all that is in it
 */
import { createSession, retrieveSession, withLiveUpdate } from '../../../src/linux/luo.ts'
import { Errno } from '../../../src/values/errno.ts'

const [what = '', name = ''] = process.argv.slice(2)
const session = withLiveUpdate((device) =>
  what === 'create' ? createSession(device, name) : retrieveSession(device, name),
)
if (session instanceof Errno) throw new Error(`${what} ${name}: ${session}`)
process.stdout.write(`has ${name}\n`)
if (what !== 'steal') setInterval(() => {}, 2 ** 31 - 1)
