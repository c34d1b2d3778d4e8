/** Owns which operation each request means. That none is missing is checked by its type. */
import type { Operations } from '../service.ts'
import { contentOperations } from './contents.ts'
import { inodeOperations } from './inodes.ts'
import { nameOperations } from './names.ts'
import { xattrOperations } from './xattrs.ts'

export const OPERATIONS: Operations = {
  ...nameOperations,
  ...inodeOperations,
  ...contentOperations,
  ...xattrOperations,
}
