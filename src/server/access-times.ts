/**
 * Owns how closely access times are kept, which is an option of the mount. The kernel leaves them to us
 * (`fuse_iget` sets S_NOATIME) and does not say by which mount a file was reached: the pool's own mount
 * counts, and its binds have what it has. What is mapped or executed is not seen here.
 */
import type { AtimeRule } from '../fs/operations/access.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { FUSE_TYPE, type Mount, mountTable } from '../linux/mount.ts'
import { MountWatch } from '../linux/mount-watch.ts'

/** undefined: they stay as they are. */
export type AtimeRules = Readonly<Record<'directory' | 'other', AtimeRule | undefined>>

/**
 * As `atime_needs_update` (fs/inode.c) looks at a mount. Without one that is seen, what mount(8) would give.
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
   * Where the table cannot be read just now (ENOMEM), what was so stays so: no read fails for its access
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
