/**
 * The former name of `luo/worker.ts`. A keeper of before the move, whose package was upgraded underneath,
 * starts its thread by this name at the first handover, and would die of finding nothing.
 */
import './luo/worker.ts'
