/**
 * The umask of every process of ours: the caller's would decide otherwise who may look into the folders that
 * QEMUs of other users go through (027 closes them), and who may write where root reads (0 opens them).
 */

/** Programs that this process starts inherit it, QEMU too: the same at each start, whoever asked for it. */
export const fixUmask = (): void => void process.umask(0o022)
