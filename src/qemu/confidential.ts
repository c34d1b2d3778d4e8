/**
 * Confidential guests, whose private memory is in no file of a pool: QEMU's words for them, where that memory
 * is, and the refusal of a command line that has one (`machine/confidential-guest.ts` looks at a QEMU that
 * runs). Must not: ask QEMU.
 */
import { UsageError } from '../values/errors.ts'
import { argumentsOf, type CommandLine, pairsOf } from './command-line.ts'
import { type OptionString, optionValue } from './option-string.ts'

export interface ConfidentialKind {
  /** QEMU's type of the object. */
  readonly type: string
  /** Its maker's name. */
  readonly technology: string
  /** Where what is private is, after "its": a clause. */
  readonly memory: string
  /** What an update of such a guest would need. */
  readonly needs: string
}

const GUEST_MEMFD = 'private memory is guest_memfd, which is in no file system'
/** As of Linux 7.3: `kernel/liveupdate` has a handler for unlinked memfds alone. */
const PRESERVED = 'guest_memfd preserved across kexec by the kernel (LUO: not in Linux 7.3)'
const SAVED = 'a QEMU that saves such a guest'

/** docs/reference/machine.md prints them (`confidential.test.ts`). */
export const CONFIDENTIAL_KINDS: readonly ConfidentialKind[] = [
  {
    type: 'sev-guest',
    technology: 'AMD SEV or SEV-ES',
    memory:
      'memory is encrypted with a key that only the secure processor has, and that ends with this kernel',
    needs: `the secure processor's guests preserved across kexec by the kernel, and ${SAVED}`,
  },
  {
    type: 'sev-snp-guest',
    technology: 'AMD SEV-SNP',
    memory: GUEST_MEMFD,
    needs: `${PRESERVED} with the secure processor's guests, and ${SAVED}`,
  },
  {
    type: 'tdx-guest',
    technology: 'Intel TDX',
    memory: GUEST_MEMFD,
    needs: `${PRESERVED} with the guests of the TDX module, and ${SAVED}`,
  },
  {
    type: 'rme-guest',
    technology: 'Arm CCA',
    memory: GUEST_MEMFD,
    needs: `${PRESERVED} with the realms of its firmware, and ${SAVED}`,
  },
  {
    type: 's390-pv-guest',
    technology: 'IBM Secure Execution',
    memory: "memory is the Ultravisor's, and what a file has of it is encrypted",
    needs: `the Ultravisor's guests preserved across kexec by the kernel, and ${SAVED}`,
  },
  {
    type: 'pef-guest',
    technology: 'IBM POWER PEF',
    memory: "memory is the Ultravisor's, and no file has it",
    needs: `the Ultravisor's guests preserved across kexec by the kernel, and ${SAVED}`,
  },
  {
    type: 'memory-backend-epc',
    technology: 'Intel SGX',
    memory: 'enclaves are in /dev/sgx_vepc, which is no file system and begins empty in each QEMU',
    needs: 'enclaves that can be saved, which the processor does not allow',
  },
]

/** Of a type that is not in the table. */
const ANY = {
  technology: 'of a kind that is not known here',
  memory: GUEST_MEMFD,
  needs: `${PRESERVED}, and ${SAVED}`,
}

/** Properties of a machine that name such an object: the second is the former word (hw/core/machine.c). */
const MACHINE_KEYS = ['confidential-guest-support', 'memory-encryption']
/** Values of `kvm-type=`, which patched QEMUs have for x86. */
const PROTECTED_KVM = /tdx|sev|snp|protected|realm/i
/** Of a memory backend, and types of one: QEMU up to 11.1 has none of them, patches of it do. */
export const GUEST_MEMFD_KEY = 'guest-memfd'
export const BY_ITSELF = /^memory-backend-(guest-memfd|memfd-private)$/
const OFF = ['off', 'no', 'false', 'n']

/** The kind of an object by QEMU's type of it; undefined: it is none. */
export const confidentialKind = (type: string): ConfidentialKind | undefined =>
  CONFIDENTIAL_KINDS.find((kind) => kind.type === type)

/**
 * One line. `what`: where it was seen, a clause that ends with the guest; `kind`: of the object; undefined:
 * not in the table.
 */
export const whyConfidential = (
  what: string,
  { technology, memory, needs }: Omit<ConfidentialKind, 'type'> = ANY,
): string => `${what} (${technology}), and its ${memory}: an update of it would need ${needs}`

/** As `whyConfidential`, of RAM that is guest_memfd without such an object. `what`: its memory backend. */
export const whyGuestMemfd = (what: string): string =>
  `${what} is guest_memfd, which is in no file system: an update of the guest would need ${ANY.needs}`

/** Errors (UsageError): the line makes a confidential guest, however it is spelled. */
export function refuseConfidential(line: CommandLine): void {
  for (const argument of argumentsOf(line, 'object')) refuseObject(pairsOf(argument))
  for (const argument of argumentsOf(line, 'machine', 'M'))
    for (const { key, value = 'on' } of pairsOf(argument))
      if (MACHINE_KEYS.includes(key) || (key === 'kvm-type' && PROTECTED_KVM.test(value)))
        refuse(`${argument.option} ${key}=${value}`)
  for (const argument of argumentsOf(line, 'global')) {
    const { type, property } = globalOf(pairsOf(argument))
    const kind = confidentialKind(type)
    if (kind !== undefined || [...MACHINE_KEYS, GUEST_MEMFD_KEY].includes(property))
      refuse(`global ${type}.${property}`, kind)
  }
}

function refuse(option: string, kind?: ConfidentialKind): never {
  throw new UsageError(whyConfidential(`QEMU option -${option} makes a confidential guest`, kind))
}

function refuseObject(pairs: OptionString): void {
  for (const type of typesOf(pairs)) {
    const kind = confidentialKind(type)
    if (kind !== undefined) refuse(`object ${type}`, kind)
    const isBackend = type.startsWith('memory-backend-')
    if (BY_ITSELF.test(type) || (isBackend && isSet(pairs, GUEST_MEMFD_KEY)))
      throw new UsageError(whyGuestMemfd(`RAM of QEMU option -object ${type}`))
  }
}

/** All of them, as the last one counts (`util/keyval.c`): `-object iothread,qom-type=sev-guest`. */
const typesOf = (pairs: OptionString): string[] =>
  pairs.flatMap(({ key, value }) => (key === '' || key === 'qom-type' ? [value ?? ''] : []))

const isSet = (pairs: OptionString, wanted: string): boolean =>
  pairs.some(({ key, value = 'on' }) => key === wanted && !OFF.includes(value))

/** `-global TYPE.PROPERTY=VALUE`, or `-global driver=TYPE,property=PROPERTY,value=VALUE`. */
function globalOf(pairs: OptionString): { readonly type: string; readonly property: string } {
  const key = pairs[0]?.key ?? ''
  const dot = key.lastIndexOf('.')
  if (dot > 0) return { type: key.slice(0, dot), property: key.slice(dot + 1) }
  return { type: optionValue(pairs, 'driver') ?? '', property: optionValue(pairs, 'property') ?? '' }
}
