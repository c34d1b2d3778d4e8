/** A list as pages that each fit an xattr's value. */
import { XATTR_SIZE_MAX } from '../state/limits.ts'

/**
 * Page `page` of a list: a JSON array of its own, as UTF-8. A page after the last is undefined; an empty list
 * has one empty page. This reads the list to the end of that page, and no further.
 */
export function jsonPage(
  list: Iterable<unknown>,
  page: number,
  maxBytes = XATTR_SIZE_MAX,
): Buffer | undefined {
  let items: string[] = []
  let bytes = 2
  let at = 0
  for (const item of list) {
    const text = JSON.stringify(item)
    const more = Buffer.byteLength(text) + 1
    if (items.length > 0 && bytes + more > maxBytes) {
      if (at === page) return asPage(items)
      at++
      items = []
      bytes = 2
    }
    items.push(text)
    bytes += more
  }
  return at === page ? asPage(items) : undefined
}

const asPage = (items: readonly string[]): Buffer => Buffer.from(`[${items.join(',')}]`)
