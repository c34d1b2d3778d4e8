/**
 * A libvirt for tests, with one domain at most that runs (`together` joins several), in a folder that stands
 * for a mount: it answers as virsh does, makes and deletes folders as libvirt does, and calls the real hook.
 * Its guest is a counter in the RAM file, which goes on while the guest runs.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { libvirtHook } from '../../host/libvirt-hook.ts'
import type { Base } from '../../linux/beneath.ts'
import { baseAt } from '../../linux/testing/base-at.ts'
import { QemuError } from '../../values/errors.ts'
import { DOMAIN_STATE, type LibvirtPaths } from '../../values/libvirt-paths.ts'
import type { ActiveDomain } from '../active-domains.ts'
import { describeDomain } from '../describe-domain.ts'
import type { DomainTools } from '../save-domain.ts'
import { ramIn } from '../saved-ram.ts'
import { domainXml, UUID } from './domain-xml.ts'

interface FakeQemu {
  readonly id: number
  readonly folder: string
  /** libvirt's live XML. */
  xml: string
  status: string
  migration: string
  capabilities: string[]
  mode: string
}

export class FakeLibvirt {
  readonly name: string
  readonly uuid: string
  readonly mount: string
  readonly paths: LibvirtPaths
  readonly base: Base
  /** The words of each call but those of the monitor, whose commands stand alone. */
  readonly calls: string[] = []
  qemu: FakeQemu | undefined
  /** QMP commands, or virsh's, that fail with these words. */
  readonly failing = new Map<string, string>()
  hasHook = true
  #nextId: number

  /** `root`: an empty folder, or that of the other domains. */
  constructor(root: string, nextId = 7, { name = 'web', uuid = UUID } = {}) {
    this.#nextId = nextId
    this.name = name
    this.uuid = uuid
    this.mount = join(root, 'pool')
    mkdirSync(join(this.mount, 'libvirt/qemu'), { recursive: true })
    this.base = baseAt(this.mount)
    const at = (name: string): string => join(root, name)
    this.paths = {
      qemuConf: at('qemu.conf'),
      records: at('records'),
      starts: at('starts'),
      fstab: at('fstab'),
      mounts: at('mounts'),
    }
    writeFileSync(this.paths.qemuConf, `memory_backing_dir = "${this.mount}"\n`)
    writeFileSync(this.paths.mounts, `guestmemfs ${this.mount} fuse.guestmemfs rw 0 0\n`)
    writeFileSync(this.paths.fstab, '')
    writeFileSync(at('hook'), libvirtHook(this.paths), { mode: 0o755 })
    this.#hook = at('hook')
  }

  readonly #hook: string

  get tools(): DomainTools {
    const { records, starts } = this.paths
    const host = {
      ...{ stateFolder: records, qemuConf: this.paths.qemuConf, mountPoints: () => [this.mount] },
      ramIn: (folder: string) => ramIn(folder, this.base),
    }
    return { run: (words) => this.#run(words), records, starts, base: this.base, host }
  }

  /** As an operator: `virsh start`, with an empty RAM. Returns what guestmemfs sees of it. */
  start(): ActiveDomain {
    const { name, uuid } = this
    const qemu = this.#boot(domainXml({ id: this.#nextId, name, uuid }), 'running')
    return this.domain(qemu)
  }

  domain({ id, folder, xml }: FakeQemu): ActiveDomain {
    const ram = ramIn(folder, this.base)
    return {
      about: describeDomain(xml),
      xml,
      id,
      isPersistent: true,
      pid: 1,
      mountPoint: this.mount,
      folder,
      ram,
    }
  }

  /** The counter, after the guest has run for a moment if it runs. */
  tick(): number {
    if (this.qemu === undefined) return -1
    const path = join(this.qemu.folder, 'pc.ram')
    const count = Number(readFileSync(path, 'latin1')) + (this.qemu.status === 'running' ? 1 : 0)
    writeFileSync(path, String(count))
    return count
  }

  /** As a kexec: all processes end, files stay, and ids begin again. */
  reboot(): void {
    this.qemu = undefined
    this.#nextId = 1
  }

  #boot(wanted: string, status: string): FakeQemu {
    const id = this.#nextId++
    const xml = wanted.replace(/^<domain type='(\w+)'( id='\d+')?/, `<domain type='$1' id='${id}'`)
    const folder = join(this.mount, 'libvirt/qemu', `${id}-${this.name}`)
    mkdirSync(folder)
    if (this.hasHook) {
      const { status: ended, stderr } = spawnSync(this.#hook, [this.name, 'start', 'begin', '-'], {
        input: xml,
        encoding: 'utf8',
      })
      if (ended !== 0) {
        rmSync(folder, { recursive: true })
        throw new QemuError(`virsh create: hook failed: ${stderr.trim()}`)
      }
    }
    const ram = join(folder, 'pc.ram')
    if (!existsSync(ram)) writeFileSync(ram, '0')
    this.qemu = { id, folder, xml, status, migration: 'none', capabilities: ['events'], mode: 'normal' }
    return this.qemu
  }

  #end(): void {
    if (this.qemu === undefined) throw new QemuError('virsh destroy: domain is not running')
    rmSync(this.qemu.folder, { recursive: true, force: true })
    this.qemu = undefined
  }

  async #run(words: readonly string[]): Promise<string> {
    const [what = '', first = ''] = words
    if (what === 'qemu-monitor-command') return this.#monitor(words[2] ?? '')
    this.calls.push(what)
    this.#fail(what)
    if (what === 'list') return this.qemu === undefined ? '\n' : `${this.uuid}\n\n`
    if (what === 'dumpxml') return this.qemu?.xml ?? domainXml({ id: undefined, uuid: this.uuid })
    if (what === 'domid') return `${this.qemu?.id ?? '-'}\n`
    if (what === 'destroy') this.#end()
    else if (what === 'resume' && this.qemu?.status === 'inmigrate')
      throw new QemuError('virsh resume: it has no guest yet')
    else if (what === 'resume' && this.qemu !== undefined) this.qemu.status = 'running'
    else if (what === 'create') this.#create(first)
    else throw new QemuError(`virsh ${what}: unknown`)
    return '\n'
  }

  #create(file: string): void {
    if (this.qemu !== undefined) throw new QemuError(`virsh create: domain '${this.name}' is already active`)
    const xml = readFileSync(file, 'utf8')
    this.#boot(xml, xml.includes("<qemu:arg value='-incoming'/>") ? 'inmigrate' : 'paused')
  }

  #fail(what: string): void {
    const words = this.failing.get(what)
    if (words !== undefined) throw new QemuError(`virsh ${what}: ${words}`)
  }

  #monitor(text: string): string {
    const { execute, arguments: given } = JSON.parse(text)
    this.calls.push(execute)
    const words = this.failing.get(execute)
    if (words !== undefined) return JSON.stringify({ error: { class: 'GenericError', desc: words } })
    if (this.qemu === undefined) throw new QemuError('virsh qemu-monitor-command: domain is not running')
    return JSON.stringify({ return: this.#answer(this.qemu, execute, given) })
  }

  #answer(qemu: FakeQemu, command: string, given: Record<string, unknown>): unknown {
    switch (command) {
      case 'query-status':
        return { status: qemu.status, running: qemu.status === 'running' }
      case 'query-version':
        return { qemu: { major: 10, minor: 0, micro: 13 }, package: 'Debian' }
      case 'query-migrate':
        return { status: qemu.migration }
      case 'query-migrate-capabilities':
        return ['events', 'x-ignore-shared'].map((capability) => ({
          capability,
          state: qemu.capabilities.includes(capability),
        }))
      case 'query-migrate-parameters':
        return { mode: qemu.mode }
      case 'migrate-set-parameters':
        qemu.mode = String(given.mode ?? qemu.mode)
        return {}
      case 'migrate-set-capabilities':
        for (const { capability, state } of given.capabilities as { capability: string; state: boolean }[])
          qemu.capabilities = [
            ...qemu.capabilities.filter((each) => each !== capability),
            ...(state ? [capability] : []),
          ]
        return {}
      case 'migrate':
        this.#isSet(qemu)
        writeFileSync(fileOf(given), 'state of the devices')
        qemu.status = 'postmigrate'
        qemu.migration = 'completed'
        return {}
      case 'migrate_cancel':
        return {}
      case 'migrate-incoming':
        this.#isSet(qemu)
        if (readFileSync(fileOf(given), 'latin1') !== 'state of the devices') throw new QemuError('no state')
        qemu.status = 'paused'
        qemu.migration = 'completed'
        return {}
      case 'query-memdev':
        return [{ id: 'pc.ram', size: statSync(join(qemu.folder, 'pc.ram')).size, share: true }]
      case 'qom-list':
        return given.path === '/objects' ? [{ name: 'pc.ram', type: 'child<memory-backend-file>' }] : []
      case 'query-block':
      case 'query-jobs':
        return []
      case 'qom-get':
        return given.property === 'discard-data' ? false : join(qemu.folder, 'pc.ram')
      default:
        throw new QemuError(`${command}: unknown`)
    }
  }

  #isSet({ capabilities, mode }: FakeQemu): void {
    if (!capabilities.includes('x-ignore-shared') || mode !== 'cpr-reboot')
      throw new QemuError('it would write or read all RAM')
  }
}

interface Channels {
  readonly channels: readonly { readonly addr: { readonly filename: string } }[]
}
const fileOf = (given: unknown): string => (given as Channels).channels[0]?.addr.filename ?? DOMAIN_STATE

/** The tools of several, which have the same `root`, as of one libvirt. */
export function together(all: readonly [FakeLibvirt, ...FakeLibvirt[]]): DomainTools {
  const run: DomainTools['run'] = async (words) => {
    if (words[0] === 'list') return (await Promise.all(all.map(({ tools }) => tools.run(words)))).join('')
    const its = all.find(({ uuid }) => words.some((word) => word.includes(uuid))) ?? all[0]
    return await its.tools.run(words)
  }
  return { ...all[0].tools, run }
}
