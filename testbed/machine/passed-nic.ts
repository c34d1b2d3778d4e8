/**
 * A host with an IOMMU, which QEMU emulates, and a second network card: one that the host can pass to a guest
 * (VFIO). The peer outside is at the end of that card's wire; the host's own has none.
 */
import { PEER_CHARDEV, peerForward } from './peer.ts'

/** Its address on the host's PCI bus. */
export const PASSED_NIC = '0000:00:10.0'

/**
 * Before all other devices, which QEMU asks for the IOMMU of their bus when it makes them. Linux takes it
 * with `intel_iommu=on`, whoever made the processor.
 */
export const IOMMU_WORDS = ['-device', 'intel-iommu,intremap=on']

/** KVM's own interrupt controller has no interrupt remapping. */
export const IOMMU_MACHINE = 'q35,kernel-irqchip=split'

/** `iommu_platform`: what the card reads and writes goes through the IOMMU; no legacy driver does that. */
export const passedNicWords = (path: string): string[] => [
  ...['-netdev', 'user,id=outside,restrict=on', '-device', 'virtio-net-pci,netdev=outside,romfile='],
  ...['-chardev', `socket,id=${PEER_CHARDEV},path=${path}`],
  ...['-netdev', `user,id=passed,restrict=on,${peerForward}`],
  ...['-device', 'virtio-net-pci,netdev=passed,romfile=,addr=0x10,disable-legacy=on,iommu_platform=on'],
]
