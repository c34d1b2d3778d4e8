/** The formats of a VM's record (`trusted.guestmemfs.vm`) that this version reads: 2 is of another VMM. */
export const VM_RECORD_FORMATS = { oldest: 1, newest: 2 } as const
