/**
 * A stand between a server and its system calls, for programs that are imported into it
 * (NODE_OPTIONS=--import): each C function that the server defines afterwards passes through `wrap`.
 */
import type Koffi from 'koffi'

export type Call = (...values: unknown[]) => unknown

/** `koffi`: the server's own. `wrap` gets each function's name, and returns what is called in its place. */
export function wrapCalls(koffi: typeof Koffi, wrap: (name: string, call: Call) => Call): void {
  const load = koffi.load
  koffi.load = ((...words: Parameters<typeof load>) => {
    const library = load(...words)
    const func = library.func.bind(library) as (...words: unknown[]) => Call
    // The library's own `func` cannot be replaced, and nothing else of it is used.
    const wrapped = (...definition: unknown[]) => wrap(String(definition[0]), func(...definition))
    return { func: wrapped } as unknown as typeof library
  }) as typeof load
}

/** Whether this process is a server: others inherit the variable, and are left alone. */
export const isServer = /\/server\/main\.[jt]s$/.test(process.argv[1] ?? '')
