/**
 * The steps of a handover, in this order: guest RAM while the guests run, all other files once the pool is
 * frozen, and last the image.
 */
export const HANDOVER_STEPS = ['ram', 'files', 'image'] as const
export type HandoverStep = (typeof HANDOVER_STEPS)[number]
