/** XML of a domain that runs, for tests: as libvirt 11 writes it, with what a test chooses. */

export const UUID = 'c7a5fdbd-edaf-9455-926a-d65c16db1809'

export interface XmlChoice {
  readonly name?: string
  readonly uuid?: string
  readonly type?: string
  /** What is in its `<memoryBacking>`. */
  readonly backing?: string
  /** More attributes of its one NUMA cell; undefined: it has none. */
  readonly cell?: string
  /** Among its devices. */
  readonly device?: string
  /** Beside its devices. */
  readonly more?: string
  /** undefined: it is defined and not active. */
  readonly id?: number | undefined
}

const SHARED = "<source type='file'/><access mode='shared'/>"

export function domainXml(choice: XmlChoice = {}): string {
  const { name = 'web', uuid = UUID, type = 'kvm', backing = SHARED, cell, device = '', more = '' } = choice
  const id = 'id' in choice ? choice.id : 7
  const numa =
    cell === undefined ? '' : `<numa><cell id='0' cpus='0' memory='262144' unit='KiB' ${cell}/></numa>`
  return `<domain type='${type}'${id === undefined ? '' : ` id='${id}'`}>
  <name>${name}</name>
  <uuid>${uuid}</uuid>
  <metadata>
    <app:libosinfo xmlns:app="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <alias name='of another program'/>
    </app:libosinfo>
  </metadata>
  <memory unit='KiB'>262144</memory>
  <currentMemory unit='KiB'>262144</currentMemory>
${backing === '' ? '' : `  <memoryBacking>${backing}</memoryBacking>\n`}  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-10.0'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features>
    <acpi/>
  </features>
  <cpu mode='custom' match='exact' check='full'>
    <model fallback='forbid'>qemu64</model>
    ${numa}
  </cpu>
  <on_reboot>restart</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/web.qcow2' index='2'/>
      <backingStore type='file' index='3'>
        <source file='/var/lib/libvirt/images/base.qcow2'/>
      </backingStore>
      <target dev='vda' bus='virtio'/>
      <alias name='virtio-disk0'/>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='sda' bus='sata'/>
      <alias name='sata0-0-0'/>
    </disk>
    <controller type='pci' index='0' model='pcie-root'>
      <alias name='pci.0'/>
    </controller>
    <controller type='pci' index='1' model='pcie-root-port'>
      <alias name='pci.1'/>
    </controller>
    <controller type='virtio-serial' index='0'>
      <alias name='virtio-serial0'/>
    </controller>
    <interface type='network'>
      <mac address='52:54:00:12:34:56'/>
      <source network='default' portid='6f0e6a7c-8e37-4d0e-9d3c-4b6c3a0f7d52' bridge='virbr0'/>
      <target dev='vnet0'/>
      <model type='virtio'/>
      <alias name='net0'/>
    </interface>
    <serial type='pty'>
      <source path='/dev/pts/3'/>
      <alias name='serial0'/>
    </serial>
    <console type='pty' tty='/dev/pts/3'>
      <source path='/dev/pts/3'/>
      <alias name='serial0'/>
    </console>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>
      <alias name='channel0'/>
    </channel>
    <memballoon model='virtio'>
      <alias name='balloon0'/>
    </memballoon>
    ${device}
  </devices>
  ${more}
  <seclabel type='dynamic' model='dac' relabel='yes'>
    <label>+64055:+64055</label>
  </seclabel>
</domain>
`
}
