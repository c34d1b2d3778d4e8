/**
 * What a process holds of a pool, by the links in /proc/PID/fd: its areas, its connection, its LUO sessions.
 * Must not: copy a descriptor, which copy-fds.ts does.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { SESSION_LINK } from '../../linux/luo.ts'
import { isLocked } from '../../linux/own-lock.ts'
import type { Fd } from '../../values/ids.ts'

const LINKS = {
  table: '/memfd:guestmemfs:descriptors (deleted)',
  image: '/memfd:guestmemfs:image (deleted)',
  runtime: '/memfd:guestmemfs:runtime (deleted)',
  packed: '/memfd:guestmemfs:packed-image (deleted)',
  fuse: '/dev/fuse',
} as const
const AREAS: ReadonlyMap<string, Area> = new Map(
  Object.entries(LINKS).map(([area, link]) => [link, area as Area]),
)

type Area = keyof typeof LINKS

/**
 * Each area in process `pid` with its descriptor number, found by the links in /proc/PID/fd. The server has
 * two of the image. The one that holds the lock is left out: a process with a copy of it would hold the lock,
 * too. The service manager (process 1) has several of each: those of all pools that have a unit.
 */
export const listAreas = (pid: number): [area: Area, fd: Fd][] =>
  [...descriptorLinks(pid)].flatMap(([fd, link]) => {
    const area = AREAS.get(link)
    return area === undefined || ((area === 'image' || area === 'runtime') && isLocked(pid, fd))
      ? []
      : [[area, fd]]
  })

/** Of a process that has one pool: the descriptor number of each area. */
export const findAreas = (pid: number): Partial<Record<Area, Fd>> => Object.fromEntries(listAreas(pid))

/** Each descriptor of process `pid`, and what it is open on. */
export function* descriptorLinks(pid: number): IterableIterator<[Fd, string]> {
  for (const entry of readdirSync(`/proc/${pid}/fd`)) {
    try {
      yield [Number(entry) as Fd, readlinkSync(`/proc/${pid}/fd/${entry}`)]
    } catch {
      // Closed meanwhile.
    }
  }
}

/** All of them: an incoming and an outgoing session may have the same name. */
export const findSessions = (pid: number): Fd[] =>
  [...descriptorLinks(pid)].flatMap(([fd, link]) => (link.startsWith(SESSION_LINK) ? fd : []))
