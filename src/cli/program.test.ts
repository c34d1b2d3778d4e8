/**
 * Tests of the table of commands: names, aliases, headings of the help, and what is loaded for a command that
 * is typed.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { COMMANDS, loadModules, makeProgram, paragraphs } from './program.ts'

const COMMANDS_FOLDER = new URL('../commands/', import.meta.url)

test('each name of the table loads its command, and no name or alias is missing', async () => {
  const commands = new Set<string>()
  for (const [name, load] of Object.entries(COMMANDS)) {
    const { command } = await load()
    assert.ok([command.name, ...(command.aliases ?? [])].includes(name), `${name} loads ${command.name}`)
    for (const other of [command.name, ...(command.aliases ?? [])])
      assert.ok(other in COMMANDS, `${other} is not in the table`)
    commands.add(command.name)
  }
  const files = readdirSync(COMMANDS_FOLDER).map((file) => file.replace(/\.ts$/, ''))
  assert.deepEqual([...commands].sort(), files.sort(), 'one file for each command, and nothing else')
})

test('the help has the commands under their headings', async () => {
  const help = makeProgram(await loadModules('help'), {}, () => {}).helpInformation()
  const headings = ['Pools', 'Guests', 'Live update', 'Setup', 'Inspect', 'Help']
  assert.deepEqual(
    [...help.matchAll(/^([A-Z][a-z ]+):$/gm)].map(([, heading]) => heading),
    ['Options', ...headings],
  )
  const sectionOf = (heading: string) => help.split(`\n${heading}:\n`)[1]?.split('\n\n')[0] ?? ''
  assert.match(sectionOf('Pools'), /^ {2}mount .*\n {2}umount .*(\n {2}.*)*\n {2}format /)
  assert.match(sectionOf('Live update'), /^ {2}live-update .*\n {2}handover\|hand-over .*\n {2}report /)
  assert.doesNotMatch(help, /\bkeep\b|\bdpkg\b/, 'what only the unit and the package call')
})

test('the help of a command has its description, the list of all commands its summary', async () => {
  const program = makeProgram(await loadModules('help'), {}, () => {})
  const umount = program.commands.find((command) => command.name() === 'umount')
  assert.match(
    umount?.helpInformation() ?? '',
    /\n\nA pool of memfds that holds files is parked: (.*\n)*\nOptions:/,
  )
  assert.match(program.helpInformation(), /^ {2}umount .*unmount a pool; its memory/m)
  assert.doesNotMatch(program.helpInformation(), /A pool of memfds/)
  assert.deepEqual(paragraphs('\n    One\n    line.\n\n    Two.\n'), ['One line.', 'Two.'])
})

test('a pool that exists is named by one argument, and of run, whose arguments are QEMU’s, by an option', async () => {
  const program = makeProgram(await loadModules('help'), {}, () => {})
  const ofHelp = program.createHelp().visibleCommands(program)
  const ofPool = (term: string): boolean => /pool|mount/.test(term)
  const named = ofHelp.flatMap((command) => [
    ...command.registeredArguments.map((argument) => [command.name(), argument.name()]),
    ...command.options.map(({ long, flags }) => [command.name(), long ?? flags]),
  ])
  const mount = [
    ['mount', 'pool-name'],
    ['mount', 'mountpoint'],
    ['format', 'pool-name'],
    ['run', '--pool'],
  ]
  const images = [
    ['fsck', 'pool|file'],
    ['dump', 'pool|file'],
  ]
  const others = named.filter(([, term = '']) => ofPool(term) && term !== 'pool')
  assert.deepEqual(others.sort(), [...mount, ...images].sort())
  const alike = ofHelp.flatMap(({ registeredArguments }) =>
    registeredArguments.filter((each) => each.name() === 'pool').map(({ description }) => description),
  )
  assert.ok(alike.length >= 10)
  for (const text of alike) assert.match(text, /^its name or its mount point($|; default: )/)
})

test('a command that is typed is the only one that is loaded', async () => {
  const loaded = async (typed: string) =>
    makeProgram(await loadModules(typed), {}, () => {}).commands.map((c) => c.name())
  assert.deepEqual(await loaded('thaw'), ['thaw'])
  assert.deepEqual(await loaded('hand-over'), ['handover'])
  const files = readdirSync(COMMANDS_FOLDER)
  assert.equal((await loaded('toString')).length, files.length, 'all, where it is none of them')
})
