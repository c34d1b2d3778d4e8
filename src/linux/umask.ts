/**
 * The umask of every guestmemfs process: otherwise the caller's umask would decide which users can enter the
 * folders on the path of other users' QEMUs (027 closes them), and which can write where root reads (0 opens
 * them).
 */

/** Programs that this process starts inherit it, also QEMU: it is the same at each start. */
export const fixUmask = (): void => void process.umask(0o022)
