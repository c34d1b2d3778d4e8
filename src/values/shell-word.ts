/** A word quoted so that sh, or systemd from a unit file, reads back the very same word. */

/** For sh: single quotes keep everything but themselves. */
export const shellWord = (text: string): string =>
  /^[\w./@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`

/**
 * For ExecStart=: C-style quotes; `%` starts a specifier and `$` a variable, both are doubled
 * (systemd.service(5)).
 */
export const unitWord = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`
