/** Owns finding the server of the pool `guestmemfs`, for scenarios that kill it. */

/** Shell words for the pid of the server that serves now. */
export const SERVER_PID = `guestmemfs status --json guestmemfs | sed -E 's/.*"server":\\{"pid":([0-9]+).*/\\1/'`
