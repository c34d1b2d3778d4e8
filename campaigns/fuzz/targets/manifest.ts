/** The manifest of a pool that is handed over: only `CorruptBytesError` refuses. */
import { readManifest } from '../../../src/keeper/luo/manifest.ts'
import { close } from '../../../src/linux/descriptors.ts'
import { must } from '../../../src/linux/library.ts'
import { memfdCreate, resize, writeAllAt } from '../../../src/linux/memory.ts'
import { CorruptBytesError } from '../../../src/values/errors.ts'
import { COMMITS, keptBytes } from '../../../test/kept/kept.ts'
import { orRefused, type Target } from '../target.ts'

export const manifest: Target = {
  isJson: true,
  dictionary: ['"format":1', '"pool":', '"totalBlocks":', '"sessions":', '"memories":', '9007199254740993'],
  seeds: () => COMMITS.map((commit) => keptBytes(commit, 'manifest.json')),
  run(input) {
    const fd = memfdCreate('fuzz', { sealable: false })
    try {
      must(resize(fd, input.length), 'ftruncate')
      must(writeAllAt(fd, 0, input), 'pwrite')
      orRefused(() => readManifest(fd), CorruptBytesError)
    } finally {
      close(fd)
    }
  },
}
