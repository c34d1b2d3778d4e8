/**
 * Owns where Node keeps what it compiled of our sources: on disk, so that it is there after a kexec, and where
 * root alone may write, since root runs what it finds.
 */
import { enableCompileCache, flushCompileCache } from 'node:module'

const COMPILED = '/var/cache/guestmemfs/compiled'

/** For this process and, through the environment, those it starts of our own. Anybody but root compiles anew each time. */
export const keepCompiled = (): void => {
  if (process.getuid?.() === 0) enableCompileCache(COMPILED)
}

/** The environment of a process of ours. */
export const compiledEnvironment = (): NodeJS.ProcessEnv => ({ ...process.env, NODE_COMPILE_CACHE: COMPILED })

/** For processes that do not end by themselves: Node writes at the end alone. */
export const writeCompiled = (): void => flushCompileCache()
