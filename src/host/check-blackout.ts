/**
 * The doctor's findings about the blackout of an update into another build of the running kernel: what of
 * this machine's boot makes it longer than it must be. Must not change anything.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { kernelCommandLine, kernelRelease, memoryInfo } from '../linux/memory-info.ts'
import { type Finding, ok, warn } from '../values/finding.ts'
import { formatSize } from '../values/size.ts'
import { GIB } from '../values/units.ts'
import { compressionAdvice, consoleAdvice, copyAdvice, initrdAdvice, unitAdvice } from './blackout-advice.ts'
import { isConfigured, kernelConfig } from './kernel-config.ts'

/** With less, the kernel initialises all struct pages in a time too short to report. */
const MUCH_MEMORY_BYTES = 64 * GIB
const SETTLE = 'systemd-udev-settle.service'

export function checkBlackout(): Finding[] {
  const { text: release } = kernelRelease()
  const config = kernelConfig(release)
  const commandLine = kernelCommandLine()
  const hasKho = existsSync('/dev/liveupdate')
  return [
    finding('console', 'the kernel does not wait for it', consoleAdvice(commandLine)),
    ...checkInitrd(release),
    ...(config === undefined ? [] : [checkCompression(config), ...checkStructPages(config)]),
    finding(
      'load of a kernel',
      hasKho ? 'into scratch memory of KHO' : 'where it will run',
      copyAdvice(commandLine, hasKho),
    ),
    ...checkSettle(),
  ]
}

const finding = (subject: string, message: string, advice: string | undefined): Finding =>
  advice === undefined
    ? ok(`blackout: ${subject}`, message)
    : warn(`blackout: ${subject}`, 'it makes the blackout longer', advice)

function checkInitrd(release: string): Finding[] {
  const path = `/boot/initrd.img-${release}`
  const sizeBytes = statSync(path, { throwIfNoEntry: false })?.size
  if (sizeBytes === undefined) return []
  return [finding('initramfs', `${path}, ${formatSize(sizeBytes)}`, initrdAdvice(sizeBytes))]
}

function checkCompression(config: string): Finding {
  const compression = /^CONFIG_KERNEL_(\w+)=y$/m.exec(config)?.[1]
  return finding(
    'compressed kernel',
    compression?.toLowerCase() ?? 'not known',
    compressionAdvice(compression),
  )
}

function checkStructPages(config: string): Finding[] {
  if (memoryInfo().totalBytes < MUCH_MEMORY_BYTES) return []
  const isDeferred = isConfigured(config, 'CONFIG_DEFERRED_STRUCT_PAGE_INIT')
  const advice = isDeferred
    ? undefined
    : 'a kernel with CONFIG_DEFERRED_STRUCT_PAGE_INIT: this one initialises all struct pages before it goes on'
  return [finding('struct pages', 'initialised later, in parallel', advice)]
}

function checkSettle(): Finding[] {
  if (!existsSync('/run/systemd/system')) return []
  const { status } = spawnSync('systemctl', ['is-active', '--quiet', SETTLE], { stdio: 'ignore' })
  return [finding(SETTLE, 'nothing asks for it', status === 0 ? unitAdvice(SETTLE) : undefined)]
}
