/** `guestmemfs report --html FILE`: reads the reports that are kept, and writes the page of them. */
import { hostname } from 'node:os'
import { replaceOutput } from '../../../run/atomic-file.ts'
import { readUpdates } from '../host-updates.ts'
import { reportPage } from './report-page.ts'

/** For the user alone who runs it: reasons name files, whatever directories they are in. */
const MODE = 0o600

/**
 * `mountPoint`: of this mount alone; undefined: of all. Errors: UsageError, for a user other than root, and
 * where the file cannot be written.
 */
export function writeReportPage(path: string, mountPoint: string | undefined): void {
  const { last, all } = readUpdates(mountPoint)
  replaceOutput(path, reportPage({ host: hostname(), last, updates: all }), MODE)
}
