/**
 * What was changed in a machine while it ran, one line each. Every family of a reading has its row here, and
 * docs/reference/machine.md prints them (`differences.test.ts`).
 */
import type { Family, Reading } from './reading.ts'

export interface FamilyRow {
  /** undefined: it is not compared; `carried` says what becomes of it. */
  readonly family: Family | undefined
  /** The word for one item in messages. */
  readonly what: string
  /** The commands of QEMU, or of the host, that make such a difference. */
  readonly by: string
  /** What the next QEMU gets of it; undefined: nothing. */
  readonly carried?: string
  /** What the operator can do where it is not carried, one line; undefined: it is always carried. */
  readonly refused?: string
}

const START_AGAIN = "end the guest and start it by 'guestmemfs run' with the line it should have"

export const ANSWERS: readonly FamilyRow[] = [
  {
    family: undefined,
    what: 'forwarded port',
    by: 'hostfwd_add, hostfwd_remove',
    carried: 'set again; connections through it end with the QEMU that had them',
  },
  {
    family: undefined,
    what: 'limit of a disk',
    by: 'block_set_io_throttle',
    carried: 'set again, with its group, bursts and sizes',
  },
  {
    family: undefined,
    what: 'write threshold of a node',
    by: 'block-set-write-threshold',
    carried: 'set again',
  },
  {
    family: 'properties',
    what: 'property of an object',
    by: 'qom-set',
    carried:
      'set again: limits of a throttle-group, polling, batch and pool of an iothread or of main-loop, cpu-affinity of a thread-context, merge and dump of memory, status of a filter',
    refused: 'set it back (qom-set)',
  },
  {
    family: undefined,
    what: "interval of a balloon's statistics",
    by: 'qom-set of guest-stats-polling-interval',
    carried: 'set again',
  },
  {
    family: undefined,
    what: 'capability or parameter of migrations',
    by: 'migrate-set-capabilities, migrate-set-parameters',
    carried:
      'set aside for the save, and set again; a mode of cpr-reboot is taken for that of a killed update, and becomes normal',
  },
  {
    family: undefined,
    what: 'link of a NIC',
    by: 'set_link',
    carried:
      'in the stream for virtio-net, e1000, e1000e, igb and rtl8139; up in the next QEMU for others, which the update says: QEMU does not report it',
  },
  {
    family: undefined,
    what: 'size of a balloon',
    by: 'balloon, the guest',
    carried: 'in the stream: what it was asked for and what the guest gave',
  },
  {
    family: undefined,
    what: 'MAC address that the line leaves out',
    by: 'QEMU, by numbering the NICs of the line',
    carried: 'in the line from run on, or once a device is unplugged',
  },
  {
    family: undefined,
    what: 'device_del that the guest has not answered',
    by: 'device_del',
    carried:
      'in the stream for PCI and processors: DEVICE_DELETED comes from the next QEMU; for a DIMM it is forgotten, and QEMU does not report it: send it again',
  },
  {
    family: undefined,
    what: 'scheduling of a thread',
    by: 'taskset, chrt, renice of a vCPU, an I/O thread or the main thread',
    carried: 'set again: processors, policy, priority, nice value',
  },
  {
    family: undefined,
    what: "limit of QEMU's process",
    by: 'prlimit, choom, a write to cgroup.procs',
    carried:
      'set again: the resource limits, oom_score_adj, the cgroup (of version 2) that it was moved to; not that of a single thread',
  },
  {
    family: undefined,
    what: 'open file that neither the line nor the machine names',
    by: 'logfile, dump-guest-memory, a descriptor that was passed (getfd, add-fd)',
    carried: 'not in the next QEMU; the update names it',
  },
  {
    family: 'objects',
    what: 'object',
    by: 'object-add, object-del',
    carried: 'memory: a memory-backend-file with share=on in a pool, a memory-backend-ram',
    refused: `undo it (object-del, object-add), or ${START_AGAIN}`,
  },
  {
    family: 'devices',
    what: 'device',
    by: 'device_add, device_del, qom-set',
    carried: 'one with an id that was plugged or unplugged, with all of its properties',
    refused: `undo it (device_del, device_add), or ${START_AGAIN}`,
  },
  {
    family: 'boot order',
    what: 'boot order',
    by: 'qom-set of bootindex',
    carried: 'that of a device with an id in the line, or that was plugged',
    refused: 'set it back (qom-set)',
  },
  {
    family: 'processors',
    what: 'processor',
    by: 'device_add, device_del of a CPU',
    carried: 'one that was plugged or unplugged',
    refused: `undo it, or ${START_AGAIN}`,
  },
  {
    family: 'memory',
    what: 'memory device',
    by: 'device_add, device_del of a pc-dimm, an nvdimm, a virtio-mem-pci, a virtio-pmem-pci',
    carried: 'a pc-dimm or nvdimm with an id that was plugged or unplugged',
    refused: `undo it (device_del, device_add), or ${START_AGAIN}`,
  },
  {
    family: 'disks',
    what: 'disk image',
    by: 'blockdev-snapshot, blockdev-add, blockdev-del, block-commit, drive-mirror, blockdev-reopen',
    carried: 'nodes that are files, below a device of -blockdev, or a drive however it was given',
    refused:
      "commit the overlay into what the line names (block-commit, block-job-complete), or start it by 'guestmemfs run' with the image it has now",
  },
  {
    family: 'media',
    what: 'medium',
    by: 'blockdev-change-medium, blockdev-insert-medium, eject',
    carried: 'a file, or none, in a drive with an id or of -cdrom, -hda, -fda and the like',
    refused: 'put back the medium that the line names (blockdev-change-medium)',
  },
  {
    family: 'bitmaps',
    what: 'dirty bitmap that is not persistent',
    by: 'block-dirty-bitmap-add',
    refused: 'remove it (block-dirty-bitmap-remove), or make it persistent=true',
  },
  {
    family: 'jobs',
    what: 'job',
    by: 'drive-backup, block-commit, block-stream, …',
    refused: 'wait for its end, or end it (job-complete, job-cancel)',
  },
  {
    family: 'exports',
    what: 'export of a disk',
    by: 'block-export-add, nbd-server-add',
    refused: 'end it (block-export-del): its clients would lose their connection',
  },
  {
    family: 'networks',
    what: 'network backend',
    by: 'netdev_add, netdev_del',
    carried:
      'a tap with its queues, without vhost; user networking of 10.0.2.0; dgram with two addresses; one that was taken out',
    refused: `undo it (netdev_del, netdev_add), or ${START_AGAIN}`,
  },
  {
    family: 'caches',
    what: 'cache mode of an image',
    by: 'blockdev-reopen',
    refused: 'set it back (blockdev-reopen)',
  },
  {
    family: 'addresses',
    what: 'address of a socket',
    by: 'chardev-change of a socket; netdev_del and netdev_add of a dgram or a socket by UDP',
    refused: 'change it back (chardev-change; netdev_del, netdev_add)',
  },
  {
    family: 'run time',
    what: 'setting of a QEMU that runs',
    by: 'display-update of VNC, block-latency-histogram-set, set-vcpu-dirty-limit, qom-set of bootindex of a device without an id',
    refused: 'set it back',
  },
  {
    family: 'consoles',
    what: 'character device or I/O thread',
    by: 'chardev-add, chardev-change, chardev-remove, object-add iothread',
    refused: `undo it, or ${START_AGAIN}`,
  },
]

/** Those are a difference whenever they were begun. */
const ALWAYS: readonly Family[] = ['jobs', 'exports']

/** Lines that a message has of one family: an unplugged bridge may remove many devices. */
const MOST_LINES = 3

/**
 * What is in `now` and not in `start`, and the other way round. A former version's reading lacks families:
 * those are not compared.
 */
export function differences(start: Reading, now: Reading): string[] {
  return ANSWERS.flatMap(({ family, what, refused }) => {
    if (family === undefined || refused === undefined) return []
    const before = ALWAYS.includes(family) ? [] : start.items[family]
    if (before === undefined) return []
    const after = now.items[family] ?? []
    const [added, removed] = [minus(after, before), minus(before, after)]
    const lines = bySubject(added, removed)
    if (lines.length === 0) return []
    const listed = lines.slice(0, MOST_LINES).join('; ')
    const more = lines.length > MOST_LINES ? ` and ${lines.length - MOST_LINES} more` : ''
    return [`${what} ${listed}${more}: ${refused}`]
  })
}

/** The multiset difference: items of `left` that are not in `right`. */
export function minus(left: readonly string[], right: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const item of right) counts.set(item, (counts.get(item) ?? 0) + 1)
  return left.filter((item) => {
    const count = counts.get(item) ?? 0
    counts.set(item, count - 1)
    return count <= 0
  })
}

const subjectOf = (item: string): string => item.split(': ', 1)[0] as string
const wordsOf = (item: string): string => item.slice(subjectOf(item).length + 2)

/** One line for each subject: added, removed or changed. */
function bySubject(added: readonly string[], removed: readonly string[]): string[] {
  const after = Map.groupBy(added, subjectOf)
  const before = Map.groupBy(removed, subjectOf)
  return [...new Set([...after.keys(), ...before.keys()])].map((subject) => {
    const [now, was] = [after.get(subject), before.get(subject)]
    if (was === undefined) return `${subject} was added while it ran (${wordsOf(now?.[0] ?? '')})`
    if (now === undefined) return `${subject} was removed while it ran (${wordsOf(was[0] as string)})`
    return `${subject} was changed while it ran (${wordsOf(was[0] as string)}, now ${wordsOf(now[0] as string)})`
  })
}
