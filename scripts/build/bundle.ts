/**
 * Turns `src/` into the JavaScript of the published package: one file for each process or thread that is
 * started, instead of the hundred modules that it is made of. After a kexec guests wait for four such starts,
 * and finding and linking modules was most of each. Native code stays outside.
 */
import { globSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { build, type Plugin } from 'esbuild'

const SOURCES = join(import.meta.dirname, '../../src')
/** Modules find files beside them by this folder's name. */
const FOLDER = 'dist'

/** `new URL(`./main${import.meta.url.slice(-3)} `, …)`: how a source names another one that it starts. */
const STARTS = /`([\w./-]+)\$\{import\.meta\.url\.slice\(-3\)\}`/g

/** What the entry loads when it needs it, so that Node reads no more than that. */
const LOADED_LATER = ['early/before-mount.ts', 'early/early-unit.ts', 'cli/program.ts']

/** Started by processes of former versions that still run. */
const FORMER = ['keeper/luo-worker.ts']

/** Paths below `src/` of programs that a source starts by their file's name. */
function started(): string[] {
  const named = globSync('**/*.ts', { cwd: SOURCES }).flatMap((path) =>
    [...readFileSync(join(SOURCES, path), 'utf8').matchAll(STARTS)].map(([, name]) =>
      normalize(join(dirname(path), `${name}.ts`)),
    ),
  )
  return [...new Set(['cli.ts', ...LOADED_LATER, ...FORMER, ...named])]
}

/** Writes `dist` in `folder` anew. Errors: those of esbuild. */
export async function bundle(folder: string): Promise<void> {
  const outdir = join(folder, FOLDER)
  rmSync(outdir, { recursive: true, force: true })
  for (const path of started())
    await build({
      entryPoints: [join(SOURCES, path)],
      outfile: join(outdir, path.replace(/\.ts$/, '.js')),
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node24',
      // Names stay, so that a stack trace shows the place.
      minifySyntax: true,
      minifyWhitespace: true,
      plugins: [whereItWas, besideIt],
      // CommonJS packages load Node's modules by `require`.
      banner: {
        js: 'import{createRequire as $require}from"node:module";const require=$require(import.meta.url);',
      },
      logLevel: 'error',
    })
}

/**
 * `import.meta.url` of a bundled module is as if it were a file of its own, so that it finds files beside it.
 */
const whereItWas: Plugin = {
  name: 'where-it-was',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const own = `/${FOLDER}/${relative(SOURCES, path).replace(/\.ts$/, '.js')}`
      const url = `import.meta.url.replace(/\\/${FOLDER}\\/(?!.*\\/${FOLDER}\\/).*/, ${JSON.stringify(own)})`
      return { contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', url), loader: 'ts' }
    })
  },
}

/**
 * Loaded separately: what the entry loads later, `cli/program.ts` after the setting of Node's compile cache;
 * and the package for progress on a terminal.
 */
const besideIt: Plugin = {
  name: 'beside-it',
  setup({ onResolve }) {
    onResolve({ filter: /^\.{1,2}\/(cli\/program|early\/(?:before-mount|early-unit))\.ts$/ }, ({ path }) => ({
      path: path.replace(/\.ts$/, '.js'),
      external: true,
    }))
    onResolve({ filter: /^listr2$/ }, ({ path }) => ({ path, external: true }))
  },
}
