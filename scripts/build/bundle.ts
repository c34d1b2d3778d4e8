/**
 * Owns turning `src/` into the JavaScript of the published package: one file for each process or thread that is started, with all
 * it imports but native code. After a kexec guests wait for four such starts, and most of each was finding and linking a hundred
 * modules.
 */
import { readFileSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { build, type Plugin } from 'esbuild'

const SOURCES = join(import.meta.dirname, '../../src')

/** Whatever is started by its file's name; `cli.ts` says where compiled code is kept before it loads `program.ts`. */
const STARTED = [
  'cli.ts',
  'program.ts',
  'keeper/main.ts',
  'keeper/luo-worker.ts',
  'server/main.ts',
  'stores/dax/worker.ts',
  'qemu/supervisor-main.ts',
]

/** Writes `folder` anew. Errors: what esbuild says. */
export async function bundle(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true })
  for (const file of STARTED) {
    await build({
      entryPoints: [join(SOURCES, file)],
      outfile: join(folder, file.replace(/\.ts$/, '.js')),
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node24',
      // Names stay, so that a stack trace says where it was.
      minifySyntax: true,
      minifyWhitespace: true,
      plugins: [whereItWas(file), programBeside],
      // Packages of the older kind ask for Node's modules by `require`.
      banner: {
        js: 'import{createRequire as $require}from"node:module";const require=$require(import.meta.url);',
      },
      logLevel: 'error',
    })
  }
}

/** What a module finds beside itself (`import.meta.url`) is looked for where it would lie if it were a file of its own. */
const whereItWas = (entry: string): Plugin => ({
  name: 'where-it-was',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8')
      const own = relative(join(SOURCES, dirname(entry)), path).replace(/\.ts$/, '.js')
      const url = `new URL(${JSON.stringify(own)}, import.meta.url).href`
      return { contents: text.replaceAll('import.meta.url', url), loader: 'ts' }
    })
  },
})

const programBeside: Plugin = {
  name: 'program-beside',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/program\.ts$/ }, () => ({ path: './program.js', external: true }))
  },
}
