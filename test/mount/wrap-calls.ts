/**
 * Wraps the system calls of a server or a keeper, for programs that are imported into it
 * (NODE_OPTIONS=--import): `wrap` is called for each C function that it defines afterwards.
 */
import type Koffi from 'koffi'

export type Call = (...values: unknown[]) => unknown

/** `koffi`: that process's own. `wrap` gets each function's name, and returns its replacement. */
export function wrapCalls(koffi: typeof Koffi, wrap: (name: string, call: Call) => Call): void {
  const load = koffi.load
  koffi.load = ((...words: Parameters<typeof load>) => {
    const library = load(...words)
    const func = library.func.bind(library) as (...words: unknown[]) => Call
    // A library's `func` is read-only, so this returns an object with only that method.
    const wrapped = (...definition: unknown[]) => wrap(String(definition[0]), func(...definition))
    return { func: wrapped } as unknown as typeof library
  }) as typeof load
}

/** Whether this process is a server: other processes inherit the variable, too. */
export const isServer = /\/server\/main\.[jt]s$/.test(process.argv[1] ?? '')
