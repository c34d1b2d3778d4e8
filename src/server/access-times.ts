/**
 * The rule by which the server keeps access times, an option of the mount. The kernel leaves them to the
 * server (`fuse_iget` sets S_NOATIME) and does not report through which mount a file was accessed: the
 * options of the pool's own mount count, also for its bind mounts. Accesses by mapping or executing a file
 * send no request, and are not recorded.
 */
import type { AtimeRule } from '../fs/operations/access.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { MountWatch } from '../linux/mount-watch.ts'
import { FUSE_TYPE, type Mount, mountTable } from '../linux/mounts.ts'

/** undefined: access times stay as they are. */
export type AtimeRules = Readonly<Record<'directory' | 'other', AtimeRule | undefined>>

/**
 * As `atime_needs_update` (fs/inode.c) reads the options of a mount. Where the server does not see the mount,
 * the default of mount(8).
 */
export function atimeRulesOf(mount: Pick<Mount, 'options' | 'superOptions'> | undefined): AtimeRules {
  const options = new Set(mount === undefined ? ['relatime'] : [...mount.options, ...mount.superOptions])
  if (options.has('noatime') || options.has('ro')) return { directory: undefined, other: undefined }
  const rule = options.has('relatime') ? 'relative' : 'strict'
  return { directory: options.has('nodiratime') ? undefined : rule, other: rule }
}

export class AccessTimes {
  readonly #pool: string
  readonly #watch = new MountWatch()
  #isStale = true
  #rules = atimeRulesOf(undefined)

  constructor(pool: string) {
    this.#pool = pool
  }

  /** As the mount has it now. */
  get rules(): AtimeRules {
    if (this.#watch.hasChanged()) this.#isStale = true
    if (this.#isStale) this.#look()
    return this.#rules
  }

  /**
   * Where the mount table cannot be read (ENOMEM), the rules stay as they are: no read fails for its access
   * time.
   */
  #look(): void {
    try {
      const isOurs = ({ type, source, root }: Mount): boolean =>
        type === FUSE_TYPE && source === this.#pool && root === '/'
      this.#rules = atimeRulesOf(mountTable().find(isOurs))
      this.#isStale = false
    } catch (error) {
      errnoOfNodeError(error)
    }
  }
}
