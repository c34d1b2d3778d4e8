/**
 * A host whose guests are libvirt's, for scenarios: its packages, what their maintainer scripts would do, the
 * installation of guestmemfs as an operator types it, and a domain.
 */
import { EMULATOR } from '../../src/values/libvirt-paths.ts'
import { FILES } from '../guests/qemu.ts'
import { appendText } from './append-text.ts'
import type { Stage } from './scenario.ts'

/**
 * libvirtd with QEMU alone: no storage pools. Its network driver does not start without a firewall program.
 */
export const LIBVIRT_PACKAGES = [
  'dbus',
  'libvirt-clients',
  'libvirt-daemon',
  'libvirt-daemon-driver-qemu',
  'libvirt-daemon-log',
  'libvirt-daemon-system',
  'nftables',
]

export const VIRSH = 'virsh -q -c qemu:///system'
const POOL = '/mnt/guestmemfs'

/**
 * As libvirt-daemon-driver-qemu.postinst makes them: its QEMUs run as this user. And /var/run, as
 * base-files.postinst makes it: libvirt's socket is there.
 */
const USERS = `[ -L /var/run ] || { rm -rf /var/run; ln -s /run /var/run; }
grep -q ^libvirt-qemu: /etc/passwd || {
  echo 'libvirt-qemu:x:64055:104:Libvirt Qemu:/var/lib/libvirt:/usr/sbin/nologin' >>/etc/passwd
  echo 'libvirt-qemu:x:64055:libvirt-qemu' >>/etc/group
  sed -i 's/^\\(kvm:x:[0-9]*:.*\\)$/\\1,libvirt-qemu/' /etc/group
  grep -q ^libvirt: /etc/group || echo 'libvirt:x:64056:' >>/etc/group
}`

export interface LibvirtHost {
  /** In the line of fstab. */
  readonly options: string
  /** Of libvirt's configuration, besides the folder of its RAM. */
  readonly conf?: string
}

/**
 * Installs, sets what install says, and starts libvirt's daemon for this boot and each later one. Another
 * package's hook is there before: its calls are in /run/theirs.
 */
export async function installWithLibvirt({ host, keep, expect }: Stage, wanted: LibvirtHost): Promise<void> {
  await host.run(`${USERS}
    mkdir -p ${POOL} /etc/libvirt/hooks
    printf '#!/bin/sh\\necho "$1 $2 $3" >>/run/theirs\\n' >/etc/libvirt/hooks/qemu
    chmod +x /etc/libvirt/hooks/qemu
    ${appendText('/etc/fstab', `guestmemfs ${POOL} guestmemfs ${wanted.options} 0 0\n`)}`)
  // The mount helper comes with the first one, and with the pool the second one knows what is to be set.
  await host.run(`guestmemfs install --yes; systemctl daemon-reload; mount ${POOL}`)
  const said = await host.run('guestmemfs install --yes --libvirt')
  keep('install', said)
  expect(
    'install, what is to be set',
    said,
    /^set in \/etc\/libvirt\/qemu\.conf:\n {4}memory_backing_dir = /m,
  )
  const lines = [...said.matchAll(/^ {4}(\w+ = .*)$/gm)].map(([, line]) => line)
  await host.run(`${appendText('/etc/libvirt/qemu.conf', `${lines.join('\n')}\n${wanted.conf ?? ''}`)}
    systemctl add-wants -q sockets.target virtlogd.socket libvirtd.socket
    systemctl add-wants -q multi-user.target libvirtd.service
    systemctl start virtlogd.socket libvirtd.socket; systemctl start libvirtd; sync`)
  keep('libvirt', await host.run(`${VIRSH} version`))
}

export interface TestDomain {
  readonly name: string
  readonly mebibytes: number
  readonly isInCarveOut?: boolean
  /**
   * QEMU's own RAM: such a domain is in no pool. It is emulated: one KVM guest is enough for the emulated
   * host.
   */
  readonly isPrivate?: boolean
}

/** Its serial port is the log NAME; its kernel is the scenario's file NAME. */
export function domainXml({ name, mebibytes, isInCarveOut, isPrivate }: TestDomain): string {
  const backing = "<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>"
  return `<domain type='${isPrivate ? 'qemu' : 'kvm'}'>
  <name>${name}</name>
  <memory unit='MiB'>${mebibytes}</memory>
  ${isPrivate ? '' : backing}
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>${FILES}/${name}</kernel>
  </os>
  <features><acpi/></features>
  ${isPrivate ? '' : "<cpu mode='host-passthrough'/>"}
  <devices>
    <emulator>${isInCarveOut ? EMULATOR : '/usr/bin/qemu-system-x86_64'}</emulator>
    <serial type='file'>
      <source path='/run/testbed/logs/${name}' append='on'/>
      <target port='0'/>
    </serial>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
`
}

/** A command that defines it. */
export const define = (domain: TestDomain): string =>
  `${appendText(`/tmp/${domain.name}.xml`, domainXml(domain))}; ${VIRSH} define /tmp/${domain.name}.xml`

/** As libvirt shows it: its state, and whether it is defined. */
export const domainFacts = async ({ host }: Stage, name: string): Promise<object> => ({
  state: await host.run(`${VIRSH} domstate ${name}`),
  persistent: await host.run(`${VIRSH} dominfo ${name} | sed -n 's/^Persistent: *//p'`),
  folders: await host.run(`ls ${POOL}/libvirt/qemu | sed 's/^[0-9]*-/ID-/'`),
  saved: await host.run(`ls -A ${POOL}/.libvirt-saved 2>/dev/null || true`),
  records: await host.run('ls -A /var/lib/guestmemfs/libvirt 2>/dev/null || true'),
})

/** Of a domain that runs and of which no update has left anything. */
export const RUNS = (name: string): object => ({
  state: 'running',
  persistent: 'yes',
  folders: `ID-${name}`,
  saved: '',
  records: '',
})
