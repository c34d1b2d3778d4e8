/** Owns getting a busybox that needs nothing around it, for an initramfs: the testbed's own and the Linux guest's. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from '../cache.ts'
import { Apt } from '../debian/apt.ts'
import { unpackPackages } from '../debian/unpack.ts'

/** A statically linked busybox, as Debian builds it. */
export async function findBusybox(): Promise<string> {
  const apt = await Apt.open()
  const offer = (await apt.offers('busybox-static'))[0]
  if (offer === undefined) throw new Error('Debian offers no busybox-static')
  const tree = await cached(`busybox/${offer.version}`, async (folder) => {
    await unpackPackages(apt, [offer], folder)
    return folder
  })
  const places = [join(tree, 'usr/bin/busybox'), join(tree, 'bin/busybox')]
  return places.find((path) => existsSync(path)) ?? (places[0] as string)
}
