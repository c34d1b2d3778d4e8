/** Sizes in bytes that several folders of src use. */
export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB

/** The image and the first chunk: stores/carve-out refuses a smaller region. */
export const SMALLEST_REGION_BYTES = 64 * MIB

/** Page sizes of x86-64, by the page table entry that maps each. */
export const PTE_BYTES = 4 * KIB
export const PMD_BYTES = 2 * MIB
export const PUD_BYTES = GIB
