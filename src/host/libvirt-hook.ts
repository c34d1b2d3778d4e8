/**
 * The hook that libvirt calls at each start of a domain, and the program that starts QEMU for one whose RAM
 * is in a carve-out. Both are shell: libvirt waits for them, and its AppArmor profile executes nothing below
 * /usr/local. Must not: call libvirt from the hook, which would wait for itself (docs/hooks.rst of libvirt).
 */
import { EMULATOR, LIBVIRT_PATHS, type LibvirtPaths, RAM_FOLDERS } from '../values/libvirt-paths.ts'
import { shellWord } from '../values/shell-word.ts'

/**
 * libvirt calls `HOOK NAME OPERATION SUBOPERATION EXTRA` with the domain's XML on standard input
 * (qemuProcessStartHook(), src/qemu/qemu_process.c). At `start begin` the domain's folder is there and its
 * owner is set, and QEMU is not there yet. A status that is not 0 ends the start, and what it prints is in
 * libvirt's error; at `reconnect` it would kill a running QEMU, hence the first line.
 *
 * The domain's folder belongs to the user of all QEMUs, who may replace it at any moment: the hook enters it,
 * looks where it is, and then names only what is in it; what it must create there, it creates as that user.
 */
export const libvirtHook = (paths: LibvirtPaths = LIBVIRT_PATHS): string => `#!/bin/sh
# Installed by guestmemfs: the RAM of libvirt's guests is in a pool. "guestmemfs uninstall" removes it.
[ "$2/$3" = start/begin ] || exit 0
domain=$1
refuse() { echo "guestmemfs: domain $domain: $1" >&2; exit 1; }
xml=$(cat)
# The first of the lines that libvirt indents by two spaces: others are of a device or of metadata.
find_in_xml() { printf '%s\\n' "$xml" | sed -n "$1" | head -n 1; }
uuid=$(find_in_xml 's|^  <uuid>\\([0-9a-f-]\\{36\\}\\)</uuid>$|\\1|p')
id=$(find_in_xml "s|^<domain .* id='\\([0-9]*\\)'.*|\\1|p")
[ -n "$uuid" ] && [ -n "$id" ] || exit 0
# So that guestmemfs can tell that this daemon calls it.
{ mkdir -p ${shellWord(paths.starts)} && : >${shellWord(paths.starts)}/called; } 2>/dev/null

# Whether $1 is in a mounted pool.
in_pool() {
  while read -r _ target type _; do
    [ "$type" = fuse.guestmemfs ] || continue
    case $1/ in "$target"/*) return 0 ;; esac
  done <${shellWord(paths.mounts)}
  return 1
}

memory=$(sed -n 's/^[[:space:]]*memory_backing_dir[[:space:]]*=[[:space:]]*"\\(.*\\)".*$/\\1/p' ${shellWord(paths.qemuConf)} | tail -n 1)
# libvirt cuts the name: the folder that it has made is ID-BEGINNING.
folder=
all=$(cd -P -- "$memory/${RAM_FOLDERS}" 2>/dev/null && pwd -P)
for each in "$all/$id-"*; do
  [ -d "$each" ] && [ ! -h "$each" ] || continue
  case $domain in "\${each##*/$id-}"*) folder=$each ;; esac
done
enter() {
  cd -P -- "$folder" && [ "$(pwd -P)" = "$folder" ] || refuse "$folder was replaced while it was started"
}

record=${shellWord(paths.records)}/$uuid
if [ -h "$record" ]; then
  ram=$(readlink "$record")
  if [ -d "$ram" ]; then
    ours=1
    case $xml in *"<qemu:arg value='-incoming'/>"*) ;; *) ours= ;; esac
    [ -e ${shellWord(paths.starts)}/"$uuid" ] || ours=
    [ -n "$ours" ] || refuse "its guest is saved by a live update: 'guestmemfs resume --name $domain' continues it"
    [ -n "$folder" ] || refuse "libvirt has no folder for its RAM below $memory/${RAM_FOLDERS}"
    enter
    rm -f -- ./*
    for file in "$ram"/*; do
      ln -P -- "$file" . || refuse "\${file##*/} of its saved RAM cannot be linked into $folder: is that in another pool, or is the pool frozen?"
    done
    exit 0
  fi
  in_pool "$ram" || refuse "its guest is saved in $ram, and no pool is mounted there: mount it first"
  # It ended with its kernel, or another pool is mounted there and it is whole in its own. Starts are refused
  # until the record is aside, wherever this is killed: no later resumption finds it over newer disks.
  [ ! -e "$record.json" ] || mv -f -- "$record.json" "$record.json.lost" ||
    refuse "its saved guest is not in $ram, and its record cannot be put aside: is the disk full or read-only?"
  rm -f -- "$record" || refuse "$record cannot be removed: is the disk read-only?"
  logger -t guestmemfs "domain $domain starts anew: its saved guest is not in $ram; the record of it is $record.json.lost" 2>/dev/null
fi

[ -n "$folder" ] || exit 0
if ! in_pool "$folder"; then
  while read -r _ target type _; do
    case $type in guestmemfs | fuse.guestmemfs) ;; *) continue ;; esac
    case $folder/ in "$target"/*) refuse "its RAM would be on the disk: mount $target first" ;; esac
  done <${shellWord(paths.fstab)}
  exit 0
fi
enter
# Of a guest that had this id in a former kernel.
rm -f -- ./*

# In a carve-out RAM is a device, which QEMU cannot make by opening a file: it is made here.
case $xml in *"<memory model="* | *"<cell "*) numa=1 ;; *) numa= ;; esac
case $xml in *" machine='pc-"*) ;; *) exit 0 ;; esac
kib=$(find_in_xml "s|^  <memory unit='KiB'>\\([0-9]*\\)</memory>$|\\1|p")
[ -n "$kib" ] || exit 0
size=\${kib}K
[ -z "$numa" ] || size=2M
setpriv --reuid="$(stat -c %u .)" --regid="$(stat -c %g .)" --clear-groups -- \\
  sh -c 'umask 077; set -C; : >pc.ram && truncate -s "$1" pc.ram' sh "$size" ||
  refuse "its RAM file cannot be made in $folder: is there room, is the pool frozen?"
if [ -h pc.ram ]; then
  [ -z "$numa" ] || refuse "in a carve-out libvirt's guests have no NUMA cells and no memory devices"
  [ $((kib % 2048)) = 0 ] || refuse "in a carve-out its memory must be whole 2 MiB"
  emulator=${EMULATOR}
  case $xml in *"<emulator>$emulator</emulator>"*) ;; *)
    refuse "in a carve-out it needs <emulator>$emulator</emulator>: QEMU maps a device with align= alone"
  esac
else
  rm -f -- ./pc.ram
fi
exit 0
`

/**
 * QEMU with `align=` on the RAM that libvirt has in files, and with nothing else changed. QEMU refuses to map
 * a device whose alignment is larger (qemu_ram_alloc_from_fd(), system/physmem.c), and libvirt cannot give
 * one for such memory. Only of a path ID-NAME/ALIAS: hugepages of libvirt have no ALIAS there, and may need
 * more.
 */
export const emulatorScript = `#!/bin/sh
# Installed by guestmemfs: QEMU for libvirt's guests in a carve-out. "guestmemfs uninstall" removes it.
for word in "$@"; do
  shift
  case $word in
    '{'*'"align":'*) ;;
    '{"qom-type":"memory-backend-file",'*'"mem-path":"'*/${RAM_FOLDERS}/*/*'}') word="\${word%\\}},\\"align\\":2097152}" ;;
  esac
  set -- "$@" "$word"
done
exec /usr/bin/qemu-system-x86_64 "$@"
`
