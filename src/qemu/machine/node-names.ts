/**
 * Names of block nodes: the operator's, QEMU's, and those that guestmemfs gives. An opener is a node of the
 * line that opens an overlay within itself. QEMU keeps each node of `-blockdev` until `blockdev-del`; an
 * overlay that `blockdev-snapshot-sync` took lasts only while the device uses it, and ends with its commit.
 * So once a guest is loaded its openers are deleted, and each overlay in them lasts as it did in the former
 * QEMU.
 */
import * as v from 'valibot'
import { errorText } from '../../values/errors.ts'
import type { QmpClient } from '../qmp-client.ts'

/**
 * Whether QEMU numbered the node, which the line leaves without a name: the same medium, inserted again, gets
 * another number.
 */
export const isCounted = (name: string): boolean => name.startsWith('#')

/** Names a node for the next QEMU, too. `file`: as QEMU reports it. */
export const nodeLabel = (name: string, driver: string, file: string): string =>
  isCounted(name) ? `${driver} ${file}` : name

/** A number follows. */
export const OPENER = 'guestmemfs-opener-'
export const isOpener = (name: string): boolean => name.startsWith(OPENER)

const NodesSchema = v.array(
  v.object({ 'node-name': v.optional(v.string(), ''), drv: v.string(), file: v.string() }),
)

/** Node names by label. Errors (QemuError): QEMU does not answer. */
export async function nodesByLabel(qmp: QmpClient): Promise<Map<string, string>> {
  const nodes = v.parse(NodesSchema, await qmp.execute('query-named-block-nodes', { flat: true }))
  return new Map(nodes.map(({ 'node-name': name, drv, file }) => [nodeLabel(name, drv, file), name] as const))
}

/**
 * Called before the guest continues. An opener has no user, and its overlay has the device: QEMU closes
 * nothing that the guest has. Returns one line for each that stays; the guest runs all the same. Never
 * rejects.
 */
export async function deleteOpeners(qmp: QmpClient): Promise<string[]> {
  const nodes = await nodesByLabel(qmp).catch((error: unknown) => errorText(error))
  if (typeof nodes === 'string') return [`an overlay may stay open after a commit: ${nodes}`]
  const openers = [...nodes.values()].filter(isOpener)
  const failed = await Promise.all(
    openers.map((name) =>
      qmp.execute('blockdev-del', { 'node-name': name }).then(
        () => [],
        (error: unknown) => [
          `block node ${name} stays, and so does its overlay after a commit: ${errorText(error)}`,
        ],
      ),
    ),
  )
  return failed.flat()
}
