/** os-release(5): which distribution and release this machine runs. */
import { readFileSync } from 'node:fs'

export interface OsRelease {
  /** `debian`, `ubuntu`, …; empty when the file is missing. */
  readonly id: string
  /** `bookworm`, `noble`, …; empty where a distribution has none. */
  readonly codename: string
  readonly prettyName: string
}

export function parseOsRelease(text: string): OsRelease {
  const field = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? ''
  return { id: field('ID'), codename: field('VERSION_CODENAME'), prettyName: field('PRETTY_NAME') }
}

export function osRelease(): OsRelease {
  try {
    return parseOsRelease(readFileSync('/etc/os-release', 'utf8'))
  } catch {
    return { id: '', codename: '', prettyName: '' }
  }
}
