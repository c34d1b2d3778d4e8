/**
 * `/run/guestmemfs/updates/`: the live updates whose command runs, a file each. Only root writes there. A
 * command that was killed leaves its file, and its reader sees that the process in it has ended.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { replaceFile } from './atomic-file.ts'
import { parseRecord } from './parse-record.ts'
import { ensureFolder, UPDATES } from './paths.ts'
import { identifySelf, isAlive, type ProcessIdentity, ProcessSchema } from './process-identity.ts'

/**
 * Lists this process as a live update until the returned function is called. Never throws: where no file can
 * be made in /run, the update goes on, and no other command can find it.
 */
export function recordRunningUpdate(): () => void {
  const path = join(UPDATES, String(process.pid))
  try {
    ensureFolder(UPDATES)
    replaceFile(path, JSON.stringify(identifySelf()), 0o600)
  } catch {
    // /run is full, or read-only.
  }
  return () => rmSync(path, { force: true })
}

export function runningUpdates(): ProcessIdentity[] {
  return names().flatMap((name) => {
    const path = join(UPDATES, name)
    const process = parseRecord(ProcessSchema, textOf(path))
    if (process !== undefined && isAlive(process)) return [process]
    rmSync(path, { force: true })
    return []
  })
}

function names(): string[] {
  try {
    return readdirSync(UPDATES)
  } catch {
    return [] // there was no update since the machine started
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it has ended meanwhile
  }
}
