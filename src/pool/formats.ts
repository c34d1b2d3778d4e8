/**
 * The formats that this version reads of what other versions write: the list that is installed with a
 * version, by which another version finds whether this one reads what it writes. docs/guide/versions.md has
 * what each is.
 */
import * as v from 'valibot'
import { NEWEST_VERSION } from '../fs/image/image-format.ts'
import { MANIFEST_FORMAT } from '../keeper/luo/manifest.ts'
import { PROTOCOL } from '../server/messages.ts'
import { RUNTIME_AREA_FORMAT } from '../server/runtime-area.ts'
import { VM_RECORD_FORMATS } from '../values/vm-record-format.ts'
import { readVirtual } from './pool-view.ts'

const ImageFormat = v.object({ version: v.number(), newest: v.number() })

/**
 * The format of the image that a mount has, and the newest that its server writes. A server from before there
 * was a second format does not report one. Errors: UsageError.
 */
export const imageFormat = (mountPoint: string): v.InferOutput<typeof ImageFormat> =>
  v.parse(ImageFormat, readVirtual(mountPoint, 'format') ?? { version: 1, newest: 1 })

const only = (format: number) => ({ oldest: format, newest: format })

export const READ_FORMATS = {
  image: { oldest: 1, newest: NEWEST_VERSION },
  'runtime area': RUNTIME_AREA_FORMAT,
  'keeper and server': PROTOCOL,
  handover: only(MANIFEST_FORMAT),
  'VM record': VM_RECORD_FORMATS,
} as const
