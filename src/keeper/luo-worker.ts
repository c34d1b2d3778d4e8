/**
 * The former name of `luo/worker.ts`. A keeper from before the move, whose package was upgraded while it ran,
 * starts its thread by this name at the first handover, and would die if the file were missing.
 */
import './luo/worker.ts'
