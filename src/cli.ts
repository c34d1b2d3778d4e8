#!/usr/bin/env node
/**
 * Owns the program's first moment: it says where compiled sources are kept before any of them is loaded, because
 * after a kexec guests wait for every command that is on their way back.
 */
import { keepCompiled } from './linux/compiled.ts'

keepCompiled()
await import('./program.ts')
