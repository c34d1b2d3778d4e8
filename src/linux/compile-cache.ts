/**
 * The folder where Node keeps its compile cache of these sources: on disk, so that it is there after a kexec,
 * and writable for root alone, because root runs what is in it.
 */
import { enableCompileCache, flushCompileCache } from 'node:module'

const FOLDER = '/var/cache/guestmemfs/compiled'

/**
 * For this process and, through the environment, the guestmemfs processes that it starts. For every other
 * user Node compiles anew each time.
 */
export function useCompileCache(): void {
  if (process.getuid?.() === 0) enableCompileCache(FOLDER)
}

/** The environment of a guestmemfs process. */
export const compileCacheEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  NODE_COMPILE_CACHE: FOLDER,
})

/** For processes that do not end by themselves: Node writes only at the end of a process. */
export const writeCompileCache = (): void => flushCompileCache()
