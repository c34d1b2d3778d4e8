/**
 * The command line by which a guest's next QEMU is tried beside the one that runs: the same machine, without
 * what only one process can have (a tap, a port, a file that is emptied), and without what could write guest
 * RAM. What is not known here is not tried: better no proof than a guest that is harmed by one.
 */
import {
  type Argument,
  argumentsOf,
  type CommandLine,
  hasOption,
  jsonOf,
  pairsOf,
  printCommandLine,
} from '../command-line.ts'
import { impliedValue, optionValue } from '../option-string.ts'
import { MONITOR_ID } from '../vm-command-line.ts'

export interface TrialLine {
  readonly argv: readonly string[]
  /** What speaks against a trial; empty: the line can be tried. */
  readonly obstacles: readonly string[]
}

/**
 * Of these a QEMU that waits for a guest's state was seen to write no byte of RAM (`test/vm/trial.test.ts`).
 */
const MACHINES = /^(pc-q35|pc-i440fx)-/

/** They describe the machine, or its files, which two QEMUs may have open while one of them waits. */
const KEPT = new Set([
  ...['machine', 'M', 'accel', 'enable-kvm', 'cpu', 'smp', 'numa', 'm', 'global', 'name', 'uuid', 'boot'],
  ...['cdrom', 'hda', 'hdb', 'hdc', 'hdd', 'fda', 'fdb', 'kernel', 'initrd', 'append'],
  ...['dtb', 'bios', 'L', 'rtc', 'smbios', 'acpitable', 'fw_cfg', 'vga', 'nodefaults', 'no-user-config'],
  ...['no-reboot', 'no-shutdown', 'action', 'msg', 'sandbox', 'k', 'S', 'incoming', 'no-hpet'],
  ...['no-acpi', 'usb', 'icount', 'run-with', 'only-migratable'],
])
/** They are about the process, or about whom it talks to. */
const DROPPED = new Set([
  ...['pidfile', 'vnc', 'spice', 'monitor', 'qmp', 'qmp-pretty', 'gdb', 's', 'D', 'd', 'trace', 'nographic'],
  ...['display', 'full-screen'],
])
/** A server may take one client alone. */
const NETWORK = /\b(nbd|ssh|iscsi|rbd|gluster|https?|ftps?|nfs|vhost-user|nvme|blkio)\b/
const OBJECTS =
  /^(memory-backend-(file|ram|memfd|epc|shm)|iothread|secret|tls-creds-\w+|rng-(random|builtin)|throttle-group|thread-context|authz-\w+)$/
const DEVICES = [
  /^virtio-(net|blk|scsi|rng|balloon|serial|keyboard|mouse|tablet|gpu|mem|pmem|iommu)(-pci|-device)?(-non)?(-transitional)?$/,
  /^(virtio-vga|virtserialport|virtconsole|e1000e?|igb|rtl8139|vmxnet3|pcnet|ne2k_pci)$/,
  /^(ide-(hd|cd)|scsi-(hd|cd)|ahci|ich9-ahci|piix3-ide|nvme(-ns)?|lsi53c895a|lsi|megasas|pvscsi|floppy)$/,
  /^(usb-(tablet|mouse|kbd|storage|hub|ehci|bot|uas)|qemu-xhci|nec-usb-xhci|ich9-usb-\w+|piix3-usb-uhci)$/,
  /^(VGA|bochs-display|cirrus-vga|qxl|qxl-vga|vmware-svga|ramfb)$/,
  /^(pcie-root-port|pcie-pci-bridge|pci-bridge|pxb|pxb-pcie|x3130-upstream|xio3130-downstream|ioh3420)$/,
  /^(isa-serial|isa-parallel|isa-debugcon|isa-debug-exit|pci-serial|pc-dimm|nvdimm|ivshmem-plain)$/,
  /^(i6300esb|pvpanic|pvpanic-pci|intel-iommu|amd-iommu|vmcoreinfo|\S+-x86_64-cpu|intel-hda|ich9-intel-hda|hda-\w+|AC97)$/,
]

/** `line`: as the next QEMU would be given it, told to wait for a guest. */
export function trialLine(line: CommandLine, machineType: string): TrialLine {
  const obstacles = MACHINES.test(machineType) ? [] : [`machine type ${machineType}`]
  const tried: Argument[] = []
  for (const [index, argument] of line.arguments.entries()) {
    const put = onTrial(argument, index)
    if (typeof put === 'string') obstacles.push(put)
    else tried.push(...put)
  }
  // Without one of the line's own the machine has a serial port all the same, on a console that is none now.
  const hasSerial = argumentsOf(line, 'device').some(({ value = '' }) => value.includes('isa-serial'))
  if (!hasSerial && !hasOption(line, 'serial', 'nodefaults')) tried.push(option('serial', 'null'))
  tried.push(option('monitor', 'none'), option('display', 'none'))
  return { argv: printCommandLine({ ...line, arguments: tried }), obstacles: [...new Set(obstacles)] }
}

/** What stands in the line for it; a string: it cannot be tried, and why. */
function onTrial(argument: Argument, index: number): Argument[] | string {
  const { option: name, value = '' } = argument
  if (name === undefined) return [argument] // a disk image
  const pairs = pairsOf(argument)
  const id = optionValue(pairs, 'id')
  switch (name) {
    case 'device': {
      const driver = (jsonOf(value) === undefined ? pairs[0]?.value : optionValue(pairs, 'driver')) ?? ''
      return DEVICES.some((known) => known.test(driver)) ? [argument] : `device ${driver}`
    }
    case 'drive':
    case 'blockdev':
      return NETWORK.test(value) ? `-${name} over a network` : [argument]
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
      return [option(name, `null,id=${id ?? index}${optionValue(pairs, 'mux') === 'on' ? ',mux=on' : ''}`)]
    case 'netdev':
      // In a hub of its own: a device has its peer, and reaches nobody.
      return [option(name, `hubport,id=${id ?? index},hubid=${index}`)]
    case 'audiodev':
      return [option(name, `none,id=${id ?? index}`)]
    case 'serial':
    case 'parallel':
    case 'debugcon':
      // A `-chardev` of the line is silent by itself; a second one could get the same label.
      return [value === 'none' || value.startsWith('chardev:') ? argument : option(name, 'null')]
    case 'nic':
    case 'net':
      return value === 'none' ? [argument] : `-${name} ${value.split(',')[0]}`
  }
  if (KEPT.has(name)) return [argument]
  return DROPPED.has(name) ? [] : `-${name}`
}

const option = (name: string, value: string): Argument => ({ option: name, value, dashes: '-' })
