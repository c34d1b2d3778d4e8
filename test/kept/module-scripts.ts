/**
 * What no command of a former tree does by itself, as scripts on its modules (`load`, in older-run.ts), by
 * their names in f8cb29b. A later tree with other names gets scripts of its own here.
 */

/** The steps of an update before a jump by LUO, for `ramFile`'s guest and the pool, but for the handover. */
export const beforeJump = (pool: string, mountPoint: string, ramFile: string): string => `
  const { readVms } = await load('vm-list')
  const { WayToJump } = await load('way-to-jump')
  const { vms } = readVms(['${ramFile}'])
  const pools = [{ pool: '${pool}', mountPoint: '${mountPoint}', by: 'luo' }]
  const change = { via: 'kexec', before: '6.12.0', next: '7.3.4-luo' }
  const way = new WayToJump({ vms, pools, timeoutMs: 20_000, change }, Date.now())
  await way.readClock()
  way.leaveWord()
  await way.suspendAll()
  way.freeze()
  way.letGo()
  way.leaveWord()
  process.exit()`

/** The manifest of a handover in two sessions, on standard output. */
export const manifest = (pool: string): string => `
  const { readFileSync } = await import('node:fs')
  const { writeManifest } = await load('manifest')
  const { sessionName } = await load('session-names')
  const name = (index) => sessionName('${pool}', index + 1)
  const sessions = [[7, 3, 11], [5]].map((memories, index) => ({ name: name(index), memories }))
  const fd = writeManifest({ format: 1, pool: '${pool}', totalBlocks: 64, sessions })
  process.stdout.write(readFileSync('/proc/self/fd/' + fd))`

/** Packs the image in the file `image` for a handover, into the file `packed`. */
export const packedImage = (image: string, packed: string): string => `
  const { readFileSync, writeFileSync } = await import('node:fs')
  const { readHeader } = await load('header')
  const { Image } = await load('image')
  const { State } = await load('state')
  const { packImage } = await load('travel')
  const area = readFileSync('${image}')
  const { identity, state, version } = Image.open(area, readHeader(area).identity, new State())
  writeFileSync('${packed}', packImage(identity, state, version))`

/**
 * Writes the image of a carve-out into the file `image`: gigantic guest RAM in two frames, an ordinary file
 * in the top chunk, blocks that are clean, dirty and bad, and keys that were added and removed. It needs no
 * carve-out: the store has no memory.
 */
export const carveOutImage = (pool: string, image: string): string => `
  const { writeFileSync } = await import('node:fs')
  const { Image } = await load('image')
  const { State } = await load('state')
  const area = new Uint8Array(2 ** 20)
  const now = { seconds: 1_000_000_000, nanoseconds: 999_999_999 }
  const totalBlocks = 4096
  const uuid = Uint8Array.from({ length: 16 }, (_, at) => at)
  const identity = { poolName: '${pool}', storeKind: 'dax', totalBlocks, uuid }
  Image.format(area, identity, State.fresh(now, { dirtyBlocks: totalBlocks }))
  const journal = Image.open(area, identity, new State())
  const file = (ino, memory, sizeBytes, extents, more) => ({
    kind: 'inode',
    inode: {
      ino, generation: ino, kind: 'file', mode: 0o600, uid: 64055, gid: 108, links: 1, sizeBytes,
      atime: now, mtime: now, ctime: now, memory, extents, guestRam: false, gigantic: false, target: '', ...more,
    },
  })
  const blocks = (start, count, state) => ({ kind: 'blocks', extent: { start, count }, state })
  const name = (text, ino) => ({ kind: 'name', parent: 1, name: text, ino, cookie: ino + 1 })
  const xattr = (ino, name, text) => ({ kind: 'xattr', ino, name, value: Buffer.from(text) })
  const gone = [
    { kind: 'xattr-gone', ino: 4, name: 'user.gone' },
    { kind: 'name-gone', parent: 1, name: 'gone' },
    { kind: 'inode-gone', ino: 4 },
  ]
  const pool = { kind: 'pool', frozen: false, nextGeneration: 9, nextCookie: 10 }
  const ram = [{ start: 1024, count: 512 }, { start: 0, count: 512 }]
  const commits = [
    [blocks(0, 2048, 'clean'), blocks(4064, 32, 'clean'), blocks(2100, 3, 'bad')],
    [pool, file(2, 1, 2 ** 31, ram, { guestRam: true, gigantic: true }), name('ram', 2)],
    [file(3, 2, 2 ** 21 + 1, [{ start: 4090, count: 1 }, { start: 4064, count: 1 }]), name('file', 3)],
    [file(4, 3, 0, []), name('gone', 4), xattr(4, 'user.gone', 'gone')],
    [xattr(1, 'trusted.guestmemfs.align', '1G')],
    gone,
    [blocks(1536, 32, 'dirty')],
  ]
  for (const [index, entries] of commits.entries())
    journal.commit({ unique: 2n ** 63n + BigInt(index), epoch: 2 ** 32 - 1 }, entries)
  writeFileSync('${image}', area)`
