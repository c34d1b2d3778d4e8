/**
 * The peer, inside the throw-away host: QEMU's ordinary save of a running guest, with its RAM, into a file on
 * a tmpfs; the guest goes on afterwards. Prints milliseconds and bytes as JSON. Arguments: VM name, path of
 * the file.
 */
import { rmSync, statSync } from 'node:fs'
import { awaitMigration, fileChannels } from '../../../src/qemu/migration.ts'
import { QmpClient } from '../../../src/qemu/qmp-client.ts'
import { vmPaths } from '../../../src/run/vm-runtime.ts'

const [, , name = '', path = ''] = process.argv
const TIMEOUT_MS = 300_000
const qmp = await QmpClient.connect(vmPaths(name).qmp, 30_000)
await qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'events', state: true }] })
const started = performance.now()
// Stopped first, as for a jump: QEMU would have to save again what the guest writes meanwhile.
await qmp.execute('stop')
qmp.dropEvents()
await qmp.execute('migrate', fileChannels(path))
await awaitMigration(qmp, TIMEOUT_MS)
const saveMs = performance.now() - started
const savedBytes = statSync(path).size
rmSync(path)
await qmp.execute('cont')
qmp.close()
process.stdout.write(JSON.stringify({ saveMs, savedBytes }))
