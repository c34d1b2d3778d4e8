/** Network clients of a QEMU (network backends and NICs) from `info network`: QMP has no command for them. */

export interface NetworkClient {
  readonly id: string
  /** `nic`, `tap`, `user`, … */
  readonly kind: string
  /** What QEMU reports of it, such as `ifname=tap0`. It lists a client with several queues once for each. */
  readonly words: readonly string[]
}

/** The peer of such a client may change, and QEMU lists it among the words. */
const CONNECTED = ['stream', 'dgram', 'socket']

/**
 * From lines such as ` \ NAME: index=0,type=user,…`, with the backslash for a NIC's peer. Parsed without a
 * regular expression, which could take exponential time: the guest's owner chooses the text.
 */
export function networkClients(text: string): NetworkClient[] {
  return text.split('\n').flatMap((line) => {
    const at = line.indexOf(': ')
    const words = line
      .slice(at + 2)
      .trimEnd()
      .split(',')
    if (words[0]?.startsWith('index=')) words.shift()
    const [type, ...rest] = words
    if (at < 0 || !type?.startsWith('type=')) return []
    const id = line.slice(0, at).trimStart().replace('\\', '').trimStart()
    return [{ id, kind: type.slice('type='.length), words: rest }]
  })
}

/** The guest may change a device's MAC address. */
export function networkItem({ id, kind, words }: NetworkClient): string {
  const items = CONNECTED.includes(kind) ? [] : words.filter((word) => !word.startsWith('macaddr='))
  return `${id}: ${[kind, ...items].join(',')}`
}
