/**
 * apt's list of package sources, in both of its formats (sources.list(5)), and the search among them for the
 * mirror from which this machine gets Debian itself. Pure text in, values out.
 * Must not: name any host. A mirror is only ever one that the machine already uses.
 */

/** One line of a `.list` file, or one stanza of a `.sources` file with its lists kept. */
export interface AptSource {
  readonly types: readonly string[]
  readonly uris: readonly string[]
  readonly suites: readonly string[]
  readonly components: readonly string[]
  /**
   * A key file's path, or `undefined` when the machine's common keys are used. Embedded keys are left out.
   */
  readonly signedBy?: string
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '')
const option = (options: string, name: string): string | undefined =>
  words(options)
    .find((word) => word.toLowerCase().startsWith(`${name}=`))
    ?.slice(name.length + 1)

const LINE = /^(deb|deb-src)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/

/** The one-line format. Comments, unknown options and broken lines are skipped. */
export function parseOneLineSources(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = LINE.exec(line.trim())
    if (!match) return []
    const [, type = '', options = '', uri = '', suite = '', components = ''] = match
    const signedBy = option(options, 'signed-by')
    const source = { types: [type], uris: [uri], suites: [suite], components: words(components) }
    return [signedBy?.startsWith('/') ? { ...source, signedBy } : source]
  })
}

/**
 * Fields of one deb822 stanza, names in lower case; a line that begins with a space continues the field
 * above.
 */
function stanzaFields(stanza: string): Map<string, string> {
  const fields = new Map<string, string>()
  let last = ''
  for (const line of stanza.split('\n')) {
    if (line.startsWith('#')) continue
    const field = /^([A-Za-z0-9-]+):(.*)$/.exec(line)
    if (field) last = (field[1] ?? '').toLowerCase()
    if (last === '') continue
    const value = field ? (field[2] ?? '') : line
    fields.set(last, `${fields.get(last) ?? ''} ${value}`.trim())
  }
  return fields
}

/** The deb822 format. Stanzas with `Enabled: no` are skipped. */
export function parseDeb822Sources(text: string): AptSource[] {
  return text.split(/\n[ \t]*\n/).flatMap((stanza) => {
    const fields = stanzaFields(stanza)
    const list = (name: string): string[] => words(fields.get(name) ?? '')
    if (!fields.has('uris') || fields.get('enabled')?.toLowerCase() === 'no') return []
    const source = {
      types: list('types'),
      uris: list('uris'),
      suites: list('suites'),
      components: list('components'),
    }
    const signedBy = fields.get('signed-by') ?? ''
    return [/^\/\S+$/.test(signedBy) ? { ...source, signedBy } : source]
  })
}

/** What a sources file of guestmemfs needs for another suite of the same archive. */
export interface DebianMirror {
  readonly uri: string
  readonly signedBy?: string
}

/** How likely a source is the Debian archive itself and not a third party's packages for it. */
function likeness(source: AptSource, uri: string, all: readonly AptSource[], codename: string): number {
  const updates = all.some(({ uris, suites }) => uris.includes(uri) && suites.includes(`${codename}-updates`))
  const debianKey = source.signedBy?.includes('debian-archive') === true
  const foreignKey = source.signedBy !== undefined && !debianKey
  const path = /\/debian\b(?!-)/.test(uri)
  return (debianKey ? 2 : 0) + (updates ? 2 : 0) + (path ? 1 : 0) - (foreignKey ? 1 : 0)
}

/**
 * The mirror that serves `codename` (for example `bookworm`) itself. Security archives and third parties are
 * no mirrors of other suites, and are skipped. `undefined` when none is likely enough.
 */
export function debianMirror(sources: readonly AptSource[], codename: string): DebianMirror | undefined {
  const candidates = sources
    .filter(({ types, suites, components }) => {
      return types.includes('deb') && suites.includes(codename) && components.includes('main')
    })
    .flatMap((source) =>
      source.uris.map((uri) => ({ source, uri, score: likeness(source, uri, sources, codename) })),
    )
    .filter(({ uri, score }) => score >= 2 && !/[/.-]security\b/.test(uri))
    .sort((a, b) => b.score - a.score)
  const best = candidates[0]
  if (!best) return undefined
  return best.source.signedBy === undefined
    ? { uri: best.uri }
    : { uri: best.uri, signedBy: best.source.signedBy }
}

/** True when some source offers `suite` with the component `main` from a place that looks like Debian's. */
export function hasSuite(sources: readonly AptSource[], suite: string): boolean {
  return sources.some(({ types, suites, components }) => {
    return types.includes('deb') && suites.includes(suite) && components.includes('main')
  })
}

export function sourceLine(mirror: DebianMirror, suite: string): string {
  const options = mirror.signedBy === undefined ? '' : `[signed-by=${mirror.signedBy}] `
  return `deb ${options}${mirror.uri} ${suite} main\n`
}
