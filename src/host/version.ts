/** Dotted versions, compared by their first two numbers: all that the minimum versions here need. */
export interface Version {
  readonly major: number
  readonly minor: number
}

/** The first `N.M` of `text`, after a Debian epoch (`1:`) if there is one; `undefined` when there is none. */
export function parseVersion(text: string): Version | undefined {
  const match = /(?:^|[^\d.])(?:\d+:)?(\d+)\.(\d+)/.exec(` ${text}`)
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : undefined
}

export const atLeast = (version: Version, minimum: Version): boolean =>
  version.major > minimum.major || (version.major === minimum.major && version.minor >= minimum.minor)

export const formatVersion = ({ major, minor }: Version): string => `${major}.${minor}`
