/**
 * What the guest's processors are: by KVM or not, of which family and model, with which features (CPUID).
 * QEMU does not send it, and a next QEMU loads the guest whatever its processors have: the guest would meet
 * an instruction that is gone.
 */
import * as v from 'valibot'
import { type Ask, listProperties } from '../machine/ask.ts'

export interface GuestProcessor {
  /** Facts that must be the same, by name. */
  readonly same: ReadonlyMap<string, string>
  /** Bits by register of CPUID. */
  readonly features: ReadonlyMap<string, number>
}

const KvmSchema = v.object({ enabled: v.boolean() })
const ProcessorsSchema = v.array(v.object({ 'qom-path': v.string() }))
const FeaturesSchema = v.array(
  v.object({
    'cpuid-register': v.string(),
    'cpuid-input-eax': v.number(),
    'cpuid-input-ecx': v.optional(v.number()),
    features: v.number(),
  }),
)
/** Of a processor of x86 (target/i386/cpu.c). */
const FEATURES = 'feature-words'
const PROPERTIES = ['vendor', 'family', 'model', 'stepping', 'phys-bits']

/** Of the first processor: QEMU's line has one model for all. Errors: as of `Ask`. */
export async function readProcessor(ask: Ask): Promise<GuestProcessor> {
  const [kvm, [first]] = await Promise.all([
    ask(KvmSchema, 'query-kvm'),
    ask(ProcessorsSchema, 'query-cpus-fast'),
  ])
  const accelerator = ['accelerator', kvm.enabled ? 'KVM' : 'another than KVM'] as const
  if (first === undefined) return { same: new Map([accelerator]), features: new Map() }
  const path = first['qom-path']
  // Other architectures have other properties.
  const names = new Set((await listProperties(ask, path)).map(({ name }) => name))
  const get = async (property: string) =>
    names.has(property) ? String(await ask(v.unknown(), 'qom-get', { path, property })) : 'none'
  const [words, ...values] = await Promise.all([
    names.has(FEATURES) ? ask(FeaturesSchema, 'qom-get', { path, property: FEATURES }) : [],
    ...PROPERTIES.map(get),
  ])
  return {
    same: new Map([accelerator, ...PROPERTIES.map((name, at) => [name, values[at] as string] as const)]),
    features: new Map(words.map((word) => [registerOf(word), word.features])),
  }
}

function registerOf(word: v.InferOutput<typeof FeaturesSchema>[number]): string {
  const { 'cpuid-input-eax': leaf, 'cpuid-input-ecx': part, 'cpuid-register': register } = word
  return `${hex(leaf)}${part === undefined ? '' : `.${part}`} ${register}`
}

export interface OtherProcessor {
  readonly problems: readonly string[]
  /** Features that the guest has not looked for. */
  readonly remarks: readonly string[]
}

export function otherProcessor(running: GuestProcessor, next: GuestProcessor): OtherProcessor {
  const problems = [...running.same].flatMap(([name, value]) => {
    const its = next.same.get(name)
    return its === value
      ? []
      : [`its next QEMU would have a processor of ${name} ${its}, and the guest has ${name} ${value}`]
  })
  const other = (one: GuestProcessor, two: GuestProcessor): string[] =>
    [...one.features].flatMap(([register, bits]) => {
      // Bits of one number: `&` of signed ones is right for 32 of them.
      const only = (bits & ~(two.features.get(register) ?? 0)) >>> 0
      return only === 0 ? [] : [`${hex(only)} of CPUID ${register}`]
    })
  const [lost, more] = [other(running, next), other(next, running)]
  if (lost.length > 0)
    problems.push(
      `its next QEMU's processor would be without features that the guest may use (bits ${lost.join(', ')}): name them in -cpu, or start it with what the guest was started with`,
    )
  return {
    problems,
    remarks:
      more.length === 0
        ? []
        : [`its next QEMU's processor has more features than it started with (bits ${more.join(', ')})`],
  }
}

const hex = (value: number): string => `0x${value.toString(16)}`
