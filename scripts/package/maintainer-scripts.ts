/**
 * The scripts that dpkg runs around the installation and the removal of the package (Debian policy, chapter
 * 6). They ask nothing. What needs pools, processes and versions is `guestmemfs dpkg STEP`, by the program
 * that dpkg has unpacked; what must work without it is here. Pure.
 */
import { MARKS } from '../../src/host/install-files.ts'
import { LIBVIRT_HOOK } from '../../src/host/libvirt-files.ts'
import { CURRENT, LIBRARY, PACKAGE_LIBRARY, PACKAGE_PROGRAM } from '../../src/host/versions/version-folder.ts'
import { PROGRAM_LAUNCHER } from './payload.ts'

export type MaintainerScript = 'preinst' | 'postinst' | 'prerm' | 'postrm'

/** `dpkg --root` sets DPKG_ROOT for packages whose scripts know it (dpkg(1)). */
const HEAD = `#!/bin/sh
set -e
root=\${DPKG_ROOT:-}
`

const program = (step: string): string =>
  `"$root${PACKAGE_PROGRAM}/${PROGRAM_LAUNCHER}" dpkg ${step} --root "$root/"`

/**
 * dpkg replaces a helper that it does not know without a word: one that is not of guestmemfs is a refusal,
 * and one that an operator has changed is copied. Until the package is configured its helpers and units run
 * what `guestmemfs install` had installed, also where configuring fails and the machine boots. Without the
 * hook libvirt would start a saved guest anew, so the package does not replace `install --libvirt`.
 */
const preinst = `${HEAD}
versions=$root${PACKAGE_LIBRARY}
case $1 in
  install)
    if grep -qF '"${LIBVIRT_HOOK}"' "$root/var/lib/guestmemfs/installed.json" 2>/dev/null; then
      echo "this package has nothing for libvirt's guests: 'guestmemfs install --no-libvirt' first" >&2
      exit 1
    fi
    for name in mount.guestmemfs mount.fuse.guestmemfs; do
      helper=$root/usr/sbin/$name
      [ -e "$helper" ] || continue
      if ! grep -q '^${MARKS[0]}' "$helper"; then
        echo "guestmemfs did not write /usr/sbin/$name: move it away first" >&2
        exit 1
      fi
      sum=$(sha256sum <"$helper")
      if ! grep -q "\${sum%% *}" "$root/var/lib/guestmemfs/installed.json" 2>/dev/null; then
        cp -p "$helper" "$helper.guestmemfs-old"
        echo "/usr/sbin/$name was changed: it is kept as $name.guestmemfs-old"
      fi
    done
    if [ -e "$root${LIBRARY}/${CURRENT}" ] && [ ! -e "$versions/${CURRENT}" ]; then
      mkdir -p "$versions"
      ln -sfn ${LIBRARY}/${CURRENT} "$versions/${CURRENT}"
    fi
    ;;
esac
`

const postinst = `${HEAD}
case $1 in
  configure)
    ${program('configure')}
    ;;
  abort-upgrade | abort-remove | abort-deconfigure)
    ${program('restore')}
    ;;
esac
`

const prerm = `${HEAD}
case $1 in
  remove)
    ${program('remove')}
    ;;
esac
`

/**
 * What a purge removes is what the program has written: versions, its compile cache, reports, and records of
 * pools that are no more. Where another guestmemfs is installed by now, the last two are that one's.
 */
const postrm = `${HEAD}
versions=$root${PACKAGE_LIBRARY}
case $1 in
  abort-install)
    case $(readlink "$versions/${CURRENT}" || true) in
      /*) rm -f "$versions/${CURRENT}" ;;
    esac
    for folder in "$versions" "$root${folderOf(PACKAGE_LIBRARY)}"; do
      [ ! -d "$folder" ] || rmdir --ignore-fail-on-non-empty "$folder"
    done
    ;;
  purge)
    rm -rf "$root${folderOf(PACKAGE_LIBRARY)}" "$root/var/cache/guestmemfs"
    if [ ! -e "$root${LIBRARY}" ]; then
      rm -rf "$root/var/lib/guestmemfs/reports"
      [ ! -d "$root/var/lib/guestmemfs" ] || rmdir --ignore-fail-on-non-empty "$root/var/lib/guestmemfs"
      pools=$(find "$root/run/guestmemfs/pools" -name '*.json' 2>/dev/null || true)
      [ -n "$pools" ] || rm -rf "$root/run/guestmemfs"
    fi
    ;;
esac
if [ "$1" = remove ] && [ -z "$root" ] && [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
fi
`

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

export const MAINTAINER_SCRIPTS: Readonly<Record<MaintainerScript, string>> = {
  preinst,
  postinst,
  prerm,
  postrm,
}
