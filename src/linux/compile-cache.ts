/**
 * The folder where Node keeps what it compiled of our sources: on disk, so that it is there after a kexec,
 * and where root alone may write, since root runs what it finds there.
 */
import { enableCompileCache, flushCompileCache } from 'node:module'

const FOLDER = '/var/cache/guestmemfs/compiled'

/**
 * For this process and, through the environment, those of ours that it starts. Every other user compiles anew
 * each time.
 */
export function useCompileCache(): void {
  if (process.getuid?.() === 0) enableCompileCache(FOLDER)
}

/** The environment of a process of ours. */
export const compileCacheEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  NODE_COMPILE_CACHE: FOLDER,
})

/** For processes that do not end by themselves: Node writes only at the end of a process. */
export const writeCompileCache = (): void => flushCompileCache()
