/** A static busybox for the initramfs of the testbed's host and of the Linux guest. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from '../cache.ts'
import { type Apt, withFreshLists } from '../debian/apt.ts'
import { unpackPackages } from '../debian/unpack.ts'

/** A statically linked busybox, as Debian builds it. */
export function findBusybox(): Promise<string> {
  return withFreshLists(unpackBusybox)
}

async function unpackBusybox(apt: Apt): Promise<string> {
  const offer = (await apt.offers('busybox-static'))[0]
  if (offer === undefined) throw new Error('Debian offers no busybox-static')
  const tree = await cached(`busybox/${offer.version}`, async (folder) => {
    await unpackPackages(apt, [offer], folder)
    return folder
  })
  const places = [join(tree, 'usr/bin/busybox'), join(tree, 'bin/busybox')]
  return places.find((path) => existsSync(path)) ?? (places[0] as string)
}
