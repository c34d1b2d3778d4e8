/**
 * The command line of a trial of a guest's next QEMU, beside the one that runs: the same machine, without
 * what only one process can have (a tap, a port, a file that QEMU empties), and without what could write
 * guest RAM. A line with an option or a device that is not listed here is not tried, as the trial could harm
 * the guest.
 */
import {
  type Argument,
  argumentsOf,
  type CommandLine,
  driverOf,
  hasOption,
  idOf,
  pairsOf,
  printCommandLine,
} from '../command-line.ts'
import { impliedValue, type OptionString, optionValue, printOptionString } from '../option-string.ts'
import { MONITOR_FD, MONITOR_ID } from '../vm-command-line.ts'

export interface TrialLine {
  readonly argv: readonly string[]
  /** What in the line cannot be tried; empty: all of it can. */
  readonly obstacles: readonly string[]
  /** How many helpers need a stand-in, on descriptors from `STAND_IN_FD` on. */
  readonly standIns: number
  /** Types of devices that the trial's machine is without. */
  readonly without: readonly string[]
  /** Ids of those of them in whose place it has another device. */
  readonly placeholders: readonly string[]
}

/** The first descriptor behind those that every QEMU has. */
export const STAND_IN_FD = MONITOR_FD + 1

/**
 * Machine types of which a test shows that a QEMU that waits for a guest's state writes no byte of RAM
 * (`test/vm/trial.test.ts`).
 */
const MACHINES = /^(pc-q35|pc-i440fx)-/

/** Options that describe the machine or its files, which two QEMUs may have open while one of them waits. */
const KEPT = new Set([
  ...['machine', 'M', 'accel', 'enable-kvm', 'cpu', 'smp', 'numa', 'm', 'global', 'name', 'uuid', 'boot'],
  ...['drive', 'blockdev', 'cdrom', 'hda', 'hdb', 'hdc', 'hdd', 'fda', 'fdb', 'kernel', 'initrd', 'append'],
  ...['dtb', 'bios', 'L', 'rtc', 'smbios', 'acpitable', 'fw_cfg', 'vga', 'nodefaults', 'no-user-config'],
  ...['no-reboot', 'no-shutdown', 'action', 'msg', 'sandbox', 'k', 'S', 'incoming', 'no-hpet'],
  ...['no-acpi', 'usb', 'icount', 'run-with', 'only-migratable'],
])
/** Options of the process itself, or of its clients. */
const DROPPED = new Set([
  ...['pidfile', 'vnc', 'spice', 'monitor', 'qmp', 'qmp-pretty', 'gdb', 's', 'D', 'd', 'trace', 'nographic'],
  ...['display', 'full-screen'],
])
/**
 * Drivers and protocols of images that are no files here: a server may accept only one client, and a device
 * has one user. By `driver=`, in JSON too, or before the colon of a file's name.
 */
const REMOTE =
  '(?:nbd|ssh|iscsi|iser|rbd|gluster|https?|ftps?|tftp|nfs|nvme[\\w-]*|vhost-user[\\w-]*|virtio-blk-[\\w-]+|blkio)'
/** `format` of a `-drive` is an alias of `driver`; QEMU's JSON may have single quotes. */
const REMOTE_DRIVER = new RegExp(`(?:driver|format)["']?\\s*[=:]\\s*["']?${REMOTE}(?![\\w-])`)
/** Also behind another protocol: `blkdebug::nbd://host/disk`. */
const REMOTE_NAME = new RegExp(`(?:^|[=:"',])${REMOTE}(?:\\+\\w+)?:`)
/** The first word of a `-blockdev` is its driver. */
const REMOTE_WORD = new RegExp(`^${REMOTE}(?=,|$)`)
/** JSON may spell a driver so. */
const ESCAPED = /\\u/
const IMAGES = new Set(['drive', 'blockdev', 'cdrom', 'hda', 'hdb', 'hdc', 'hdd', 'fda', 'fdb'])
const OBJECTS =
  /^(memory-backend-(file|ram|memfd|epc|shm)|iothread|iommufd|secret|tls-creds-\w+|rng-(random|builtin)|throttle-group|thread-context|authz-\w+)$/
/** Its helper (virtiofsd) serves one QEMU: in a trial another one stands in (`stand-in.ts`). */
const SHARED_FOLDER = /^vhost-user-fs(-pci|-device)?$/
/** Its helper (swtpm) serves one QEMU. It is on no bus where it could move another device. */
const TPM = /^tpm-(tis|crb)$/
/**
 * In the place of a VFIO device, which one process has at a time: QEMU would give that place to the next
 * device. It has no firmware, no backend, and does nothing before a guest asks it to.
 */
const PLACEHOLDER = 'i6300esb'
const VFIO_PCI = /^vfio-(user-)?pci(-nohotplug)?$/
/** Where a device is. */
const PLACE_KEYS = ['id', 'bus', 'addr', 'multifunction']
const DEVICES = [
  /^virtio-(net|blk|scsi|rng|balloon|serial|keyboard|mouse|tablet|gpu|mem|pmem|iommu)(-pci|-device)?(-non)?(-transitional)?$/,
  /^(virtio-vga|virtserialport|virtconsole|e1000e?|igb|rtl8139|vmxnet3|pcnet|ne2k_pci)$/,
  /^(ide-(hd|cd)|scsi-(hd|cd)|ahci|ich9-ahci|piix3-ide|nvme(-ns)?|lsi53c895a|lsi|megasas|pvscsi|floppy)$/,
  /^(usb-(tablet|mouse|kbd|storage|hub|ehci|bot|uas)|qemu-xhci|nec-usb-xhci|ich9-usb-\w+|piix3-usb-uhci)$/,
  /^(VGA|bochs-display|cirrus-vga|qxl|qxl-vga|vmware-svga|ramfb)$/,
  /^(pcie-root-port|pcie-pci-bridge|pci-bridge|pxb|pxb-pcie|x3130-upstream|xio3130-downstream|ioh3420)$/,
  /^(isa-serial|isa-parallel|isa-debugcon|isa-debug-exit|pci-serial|pc-dimm|nvdimm|ivshmem-plain)$/,
  SHARED_FOLDER,
  /^(i6300esb|pvpanic|pvpanic-pci|intel-iommu|amd-iommu|vmcoreinfo|\S+-x86_64-cpu|intel-hda|ich9-intel-hda|hda-\w+|AC97)$/,
]

/** `line`: that of the next QEMU, with the options that make it wait for a guest. */
export function trialLine(line: CommandLine, machineType: string): TrialLine {
  const obstacles = MACHINES.test(machineType) ? [] : [`machine type ${machineType}`]
  const tried: Argument[] = []
  const devices = argumentsOf(line, 'device')
  const folders = devices.filter((device) => SHARED_FOLDER.test(driverOf(device)))
  const helpers = folders.map((device) => optionValue(pairsOf(device), 'chardev') ?? '')
  for (const [index, argument] of line.arguments.entries()) {
    const put = onTrial(argument, index, helpers)
    if (typeof put === 'string') obstacles.push(put)
    else tried.push(...put)
  }
  // Without one in the line QEMU adds a serial port, on a console, which the trial does not have.
  const hasSerial = argumentsOf(line, 'device').some(({ value = '' }) => value.includes('isa-serial'))
  if (!hasSerial && !hasOption(line, 'serial', 'nodefaults')) tried.push(option('serial', 'null'))
  tried.push(option('monitor', 'none'), option('display', 'none'))
  return {
    argv: printCommandLine({ ...line, arguments: tried }),
    obstacles: [...new Set(obstacles)],
    standIns: helpers.length,
    without: [...new Set(devices.map(driverOf))].filter((type) => TPM.test(type) || VFIO_PCI.test(type)),
    placeholders: devices.flatMap((device) => (VFIO_PCI.test(driverOf(device)) ? [idOf(device) ?? ''] : [])),
  }
}

/**
 * The arguments of the trial for it; a string: the reason why it cannot be tried. `helpers`: ids of the
 * character devices of shared folders.
 */
function onTrial(argument: Argument, index: number, helpers: readonly string[]): Argument[] | string {
  const { option: name, value = '' } = argument
  // A word without an option is a disk image.
  if ((name === undefined || IMAGES.has(name)) && isRemote(argument))
    return `${name === undefined ? 'a disk' : `-${name}`} over a network`
  if (name === undefined) return [argument]
  const pairs = pairsOf(argument)
  const id = optionValue(pairs, 'id')
  switch (name) {
    case 'device': {
      const driver = driverOf(argument)
      if (TPM.test(driver)) return []
      if (VFIO_PCI.test(driver))
        return id === undefined ? `device ${driver} without id=` : [placeholder(pairs)]
      return DEVICES.some((known) => known.test(driver)) ? [argument] : `device ${driver}`
    }
    case 'overcommit':
      return optionValue(pairs, 'mem-lock') === 'on' ? '-overcommit mem-lock=on' : [argument]
    case 'object': {
      if (optionValue(pairs, 'hugetlb') === 'on') return 'memory of hugetlb'
      const type = impliedValue(pairs, 'qom-type') ?? ''
      return OBJECTS.test(type) ? [argument] : `object ${type}`
    }
    case 'chardev':
    case 'mon':
      if (id === MONITOR_ID || optionValue(pairs, 'chardev') === MONITOR_ID) return [argument]
      if (name === 'mon') return []
      if (helpers.includes(id ?? ''))
        return [option(name, `socket,id=${id},fd=${STAND_IN_FD + helpers.indexOf(id as string)}`)]
      return [option(name, `null,id=${id ?? index}${optionValue(pairs, 'mux') === 'on' ? ',mux=on' : ''}`)]
    case 'tpmdev':
      return []
    case 'netdev':
      // In a hub of its own: the device has a peer, and no packet leaves QEMU.
      return [option(name, `hubport,id=${id ?? index},hubid=${index}`)]
    case 'audiodev':
      return [option(name, `none,id=${id ?? index}`)]
    case 'serial':
    case 'parallel':
    case 'debugcon':
      // A `-chardev` of the line is a null device already; a second one could get the same label.
      return [value === 'none' || value.startsWith('chardev:') ? argument : option(name, 'null')]
    case 'nic':
    case 'net':
      return value === 'none' ? [argument] : `-${name} ${value.split(',')[0]}`
  }
  if (KEPT.has(name)) return [argument]
  return DROPPED.has(name) ? [] : `-${name}`
}

function placeholder(pairs: OptionString): Argument {
  const place = PLACE_KEYS.flatMap((key) => {
    const value = optionValue(pairs, key)
    return value === undefined ? [] : [{ key, value }]
  })
  return option('device', printOptionString([{ key: '', value: PLACEHOLDER }, ...place]))
}

const isRemote = ({ option: name, value = '' }: Argument): boolean =>
  [REMOTE_DRIVER, REMOTE_NAME, ESCAPED].some((known) => known.test(value)) ||
  (name === 'blockdev' && REMOTE_WORD.test(value))

const option = (name: string, value: string): Argument => ({ option: name, value, dashes: '-' })
