/**
 * Whether a guest that runs is a confidential one, asked of its QEMU: a former version's record, an object
 * that was added over QMP or QEMU's own configuration file may have made it so. Must not: look at the command
 * line, which `run` has refused.
 */
import * as v from 'valibot'
import {
  BY_ITSELF,
  confidentialKind,
  GUEST_MEMFD_KEY,
  whyConfidential,
  whyGuestMemfd,
} from '../confidential.ts'
import { type Ask, readChildren, unlessRefused } from './ask.ts'

/** Of an x86 QEMU alone; `enabled` is false for all guests but those of AMD SEV. */
const SevSchema = v.object({ enabled: v.boolean() })
/** A link's value is the path of the object; empty: there is none. */
const LINK = { path: '/machine', property: 'confidential-guest-support' }

/** Why the guest cannot be updated: one line at most. Errors (QemuError): QEMU does not answer. */
export async function confidentialProblems(ask: Ask): Promise<string[]> {
  const listed = readChildren(ask, '/objects')
  const [objects, link, sev, ofGuestMemfd] = await Promise.all([
    listed,
    unlessRefused(ask(v.string(), 'qom-get', LINK), ''),
    unlessRefused(ask(SevSchema, 'query-sev'), { enabled: false }),
    listed.then((types) => guestMemfds(ask, types)),
  ])
  for (const [id, type] of objects) {
    const kind = confidentialKind(type)
    if (kind !== undefined)
      return [whyConfidential(`its object '${id}' (${type}) makes it a confidential guest`, kind)]
  }
  if (link !== '') return [whyConfidential(`its object ${link} makes it a confidential guest`)]
  if (sev.enabled)
    return [whyConfidential('QEMU says that it is a confidential guest', confidentialKind('sev-guest'))]
  return ofGuestMemfd.slice(0, 1).map((id) => whyGuestMemfd(`its RAM '${id}'`))
}

/** Ids of the memory backends whose memory is guest_memfd. */
async function guestMemfds(ask: Ask, types: ReadonlyMap<string, string>): Promise<string[]> {
  const backends = [...types].filter(([, type]) => type.startsWith('memory-backend-'))
  const found = await Promise.all(
    backends.map(async ([id, type]) => {
      const question = { path: `/objects/${id}`, property: GUEST_MEMFD_KEY }
      const isSet = await unlessRefused(ask(v.boolean(), 'qom-get', question), false)
      return isSet || BY_ITSELF.test(type) ? [id] : []
    }),
  )
  return found.flat()
}
