/**
 * Reports of former live updates, for the page of `guestmemfs report --html`: the last ones of this machine,
 * bounded in number and in bytes. Each update of the kernel ends /run with the kernel, so on a host where
 * guestmemfs is installed they lie on its disk. Each has a number, one more than the last: the clock may be
 * set back. Must not: be needed by an update, which goes on without it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isInstalled } from '../../host/install-and-remove.ts'
import { isPackaged } from '../../host/versions/version-folder.ts'
import { errnoOfNodeError } from '../../linux/library.ts'
import { replaceFile } from '../../run/atomic-file.ts'
import { makeFolder, RUN } from '../../run/paths.ts'
import { EACCES } from '../../values/errno.ts'
import { formatSize } from '../../values/size.ts'
import { MIB } from '../../values/units.ts'
import { forRootAlone, parseReport, type UpdateReport } from './update-report.ts'

export interface ReportHistory {
  /** Root's alone, as other reports are. */
  readonly folder: string
  readonly mostReports: number
  readonly mostBytes: number
}

const ON_DISK: ReportHistory = {
  folder: '/var/lib/guestmemfs/reports',
  mostReports: 100,
  mostBytes: 4 * MIB,
}
/** Until the reboot. Nothing is left on the disk of a machine that guestmemfs is only tried on. */
const IN_RUN: ReportHistory = { folder: join(RUN, 'reports'), mostReports: 100, mostBytes: MIB }
const DIGITS = 10
/** The pid: two updates that end at once may take the same number. A killed writer leaves a `.new`. */
const NAME = /^\d{10}-\d+\.json(\.new)?$/

/** On disk where guestmemfs is installed below `root`, by `guestmemfs install` or as the Debian package. */
export const historyBelow = (root: string): ReportHistory =>
  isInstalled(root) || isPackaged(root) ? ON_DISK : IN_RUN

/**
 * Adds `report`, and removes the oldest ones first, so that all together are never beyond the bounds. Returns
 * why it could not, as one line.
 */
export function keepInHistory(
  report: UpdateReport,
  { folder, mostReports, mostBytes } = historyBelow('/'),
): string | undefined {
  const text = JSON.stringify(report)
  const sizeBytes = Buffer.byteLength(text)
  if (sizeBytes > mostBytes)
    return `it takes ${formatSize(sizeBytes)}, and ${folder} holds ${formatSize(mostBytes)}`
  try {
    makeFolder(dirname(folder))
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const names = namesIn(folder)
    const former = names.at(-1)?.split('-')[0] ?? 0
    const next = 1 + Number(former)
    removeOldest({ folder, mostReports: mostReports - 1, mostBytes: mostBytes - sizeBytes }, names)
    replaceFile(join(folder, `${String(next).padStart(DIGITS, '0')}-${process.pid}.json`), text, 0o600)
    return undefined
  } catch (error) {
    return `${folder} cannot be written (${errnoOfNodeError(error)})`
  }
}

/**
 * In the order in which they were added. Those that this version cannot read are left out. Errors: UsageError
 * for a user other than root.
 */
export const reportsInHistory = (): UpdateReport[] =>
  [ON_DISK, IN_RUN].flatMap(({ folder }) => reportsIn(folder))

/** The same of one folder. */
export function reportsIn(folder: string): UpdateReport[] {
  if (!existsSync(folder)) return []
  try {
    const texts = namesIn(folder).flatMap((name) =>
      name.endsWith('.json') ? textOf(join(folder, name)) : [],
    )
    return texts.flatMap((text) => parseReport(text) ?? [])
  } catch (error) {
    if (errnoOfNodeError(error) !== EACCES) throw error
    throw forRootAlone()
  }
}

/** None: an update that has just ended has removed it. */
function textOf(path: string): string[] {
  try {
    return [readFileSync(path, 'utf8')]
  } catch (error) {
    if (existsSync(path)) throw error
    return []
  }
}

/** Oldest first. */
const namesIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => NAME.test(name))
    .sort()

/** Removes files from the first of `names` on, until the others are within the bounds. */
function removeOldest({ folder, mostReports, mostBytes }: ReportHistory, names: readonly string[]): void {
  const sizes = names.map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0)
  let bytes = sizes.reduce((sum, size) => sum + size, 0)
  for (const [index, name] of names.entries()) {
    if (names.length - index <= mostReports && bytes <= mostBytes) return
    rmSync(join(folder, name), { force: true })
    bytes -= sizes[index] ?? 0
  }
}
