/** What `reserve` prints with --json. */
import * as v from 'valibot'

export const BootFileSchema = v.pipe(
  v.object({ path: v.string(), text: v.string(), command: v.string() }),
  v.description('The text to write to the file, and what to run after it.'),
)

export const ReserveOutput = v.object({
  store: v.string(),
  ranges: v.pipe(
    v.array(
      v.object({
        startByte: v.number(),
        sizeBytes: v.number(),
        alignBytes: v.number(),
        nodes: v.array(v.number()),
        mount: v.pipe(v.string(), v.description('The command that mounts a pool there.')),
      }),
    ),
    v.description('In the order of the request.'),
  ),
  ramBytes: v.number(),
  hostKeepsBytes: v.number(),
  nodesKeep: v.array(v.object({ node: v.number(), keepsBytes: v.number() })),
  addWords: v.array(v.string()),
  dropWords: v.array(v.string()),
  commandLine: v.pipe(v.string(), v.description("The next kernel's, whole.")),
  grub: BootFileSchema,
  kernelInstall: BootFileSchema,
  grubby: v.string(),
  kexec: v.pipe(v.nullable(v.string()), v.description('null: a kexec is no safe way this time.')),
  notes: v.array(v.string()),
})
