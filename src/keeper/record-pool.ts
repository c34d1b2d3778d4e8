/** The record that a keeper writes of itself. A failed write must not end the keeper. */
import { errnoOfNodeError } from '../linux/library.ts'
import { hasRecordInRun, type PoolRecord, writePoolRecord } from '../run/pool-record.ts'
import type { KeeperLog } from './log.ts'

/**
 * Never throws for a /run that takes no files: the next mount finds a keeper without a record by its
 * descriptors, and ending would lose the memory, or what the former kernel handed over.
 */
export function recordPool(record: PoolRecord, log: KeeperLog): void {
  const { pool } = record
  try {
    writePoolRecord(record)
    if (!hasRecordInRun(pool)) log.event('/run is full: the record of the pool is in /dev meanwhile')
  } catch (error) {
    log.event(
      `the pool's record could not be written (${errnoOfNodeError(error)}): the next mount looks for this process in /proc`,
    )
  }
}
