/**
 * `npm run reference`: writes the manual, its pages for man(1) and the completions of shells, all from what
 * `src/commands/` defines. Must not: leave a file that is not made any more.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { filesThere, GENERATED_FOLDERS, referenceFiles } from './reference/files.ts'

const project = dirname(import.meta.dirname)
const files = await referenceFiles()
for (const [path, text] of files) {
  mkdirSync(join(project, dirname(path)), { recursive: true })
  writeFileSync(join(project, path), text)
}
for (const path of filesThere(project)) if (!files.has(path)) rmSync(join(project, path))
process.stdout.write(`${files.size} files are written below ${GENERATED_FOLDERS.join(' and ')}\n`)
