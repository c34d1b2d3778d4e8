/**
 * The real server over the tmpfs store of src/stores/testing/tmpfs/, which is not in src/stores/registry.ts.
 * Run as a program, `tmpfs-server.ts FOLDER`: the connection is descriptor 3, the runtime area descriptor 4,
 * both from the test, so that a second one can take over.
 */
import { probe } from '../../src/fs/image/header.ts'
import { mapShared } from '../../src/linux/memory.ts'
import { openFileSystem } from '../../src/server/open-file-system.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from '../../src/server/runtime-area.ts'
import { serveConnection } from '../../src/server/serve-connection.ts'
import { findRegion, STORES } from '../../src/stores/registry.ts'
import { TMPFS } from '../../src/stores/testing/tmpfs/tmpfs-driver.ts'
import type { Fd } from '../../src/values/ids.ts'

const FUSE = 3 as Fd
const RUNTIME = 4 as Fd
const POOL = 'tmpfs-test'

const [, , folder = ''] = process.argv
const region = findRegion({ kind: 'tmpfs', region: folder }, { ...STORES, tmpfs: TMPFS })
const { content } = region.probe(probe)
const store = region.open(POOL)
const { fs, image } = openFileSystem(store, { pool: POOL, isNew: content === 'zero' })
const runtime = new RuntimeArea(mapShared(RUNTIME, RUNTIME_AREA_BYTES))
const report = (line: string): void => void process.stderr.write(`${line}\n`)
serveConnection({ fs, image, store, runtime, fuse: FUSE, report, alignBytes: null, whenServing: () => {} })
