/** Points in time as operators read them. */

/** `ms`: since 1970. To the second, in UTC: `2026-11-28 19:40:36 UTC`. */
export function formatInstant(ms: number): string {
  const date = new Date(ms)
  if (Number.isNaN(date.getTime())) return 'an unknown time'
  return date
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC')
}
