#!/bin/sh
# Process 1 of a Linux guest that watches its devices, and prints `tick N bad M` as the tiny guest does. `watch=`
# of the kernel's command line names what it has: disks, tpm, share, nodes, agent, deaf. A network card is used once it is
# there.
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /data
for module in /modules/*; do insmod "$module"; done
watched=$(sed -n 's/.*watch=\([^ ]*\).*/\1/p' /proc/cmdline)
n=0 bad=0
fault() {
  bad=$((bad + 1))
  echo "fault: $*"
}

# Of each disk, 32 blocks of 4 KiB: the first half is written once, the other block by block, and all are read each
# time. What they must hold is in memory.
write_block() { # DISK BLOCK COUNT
  dd if=/dev/urandom of="/data/$1" bs=4k seek="$2" count="$3" conv=notrunc 2>/dev/null
  dd if="/data/$1" of="/dev/$1" bs=4k skip="$2" seek="$2" count="$3" oflag=direct conv=notrunc 2>/dev/null
}
begin_disks() {
  for disk in vda vdb; do
    until [ -b /dev/$disk ]; do sleep 0.1; done
    write_block $disk 0 32
  done
}
watch_disks() {
  for disk in vda vdb; do
    write_block $disk $((16 + n % 16)) 1
    dd if=/dev/$disk bs=128k count=1 iflag=direct 2>/dev/null | cmp -s - /data/$disk || fault "$disk: other bytes"
  done
}

# TPM2_PCR_Extend of register 16, with 32 bytes of ours (TCG, TPM 2.0 Library, part 3): a value that only this TPM
# has, and that no reset keeps. The kernel asks the TPM each time that the file is read.
PCR=/sys/class/tpm/tpm0/pcr-sha256/16
begin_tpm() {
  until [ -e $PCR ]; do sleep 0.1; done
  printf '\200\002\0\0\0\101\0\0\001\202\0\0\0\020\0\0\0\011\100\0\0\011\0\0\0\0\0\0\0\0\001\0\013%032d' 7 >/data/extend
  exec 3<>/dev/tpm0
  cat /data/extend >&3
  dd bs=4k count=1 <&3 >/dev/null 2>&1
  exec 3>&-
  pcr=$(cat $PCR)
  case $pcr in *[!0]*) echo "register 16 holds $pcr" ;; *) fault 'register 16 was not extended' ;; esac
}
watch_tpm() {
  [ "$(cat $PCR)" = "$pcr" ] || fault "register 16 holds $(cat $PCR)"
}

# The file stays open: each line goes through the descriptor of the first one.
begin_share() {
  mount -t virtiofs share /share || fault 'no share'
  exec 4>>/share/lines
}
watch_share() {
  echo "$n" >&4 || fault 'the open file takes no line'
  [ "$(tail -n 1 /share/lines)" = "$n" ] || fault "the share's last line is $(tail -n 1 /share/lines)"
}

# A file in the memory of each of two NUMA nodes, with the same bytes. Each time a part of them is new, and what both
# must hold is kept as a checksum: other bytes in either, or in both alike, are found.
begin_nodes() {
  for node in 0 1; do
    mkdir -p /data/node$node
    mount -t tmpfs -o mpol=bind:$node none /data/node$node || fault "no memory of node $node"
    dd if=/dev/zero of=/data/node$node/pages bs=64k count=32 2>/dev/null
    # The kernel's count of a node's pages is not exact at each moment.
    found=$(sed -n 's/.*Shmem: *\([0-9]*\) kB/\1/p' /sys/devices/system/node/node$node/meminfo)
    [ "$found" -ge 1024 ] || fault "of 2048 kB node $node has $found"
  done
  dd if=/dev/urandom of=/data/node0/words bs=32k count=8 2>/dev/null
  cat /data/node0/words >/data/node1/words
  words=$(md5sum </data/node0/words)
}
watch_nodes() {
  for node in 0 1; do
    [ "$(md5sum </data/node$node/words)" = "$words" ] || fault "node $node: other words"
  done
  dd if=/dev/urandom of=/data/new bs=32k count=1 2>/dev/null
  for node in 0 1; do
    dd if=/data/new of=/data/node$node/words bs=32k seek=$((n % 8)) conv=notrunc 2>/dev/null
  done
  words=$(md5sum </data/node0/words)
}

# The agent of the guest (qemu-ga), which has its kernel suspend it. A suspension that the kernel has come back from is
# printed.
SUSPENDED=/sys/power/suspend_stats/success
find_port() {
  for port in /dev/vport*p1; do [ ! -c "$port" ] || return 0; done
  return 1
}
begin_agent() {
  until find_port; do sleep 0.1; done
  /agent/ld.so --library-path /agent /agent/qemu-ga -m virtio-serial -p "$port" -t /data &
  suspended=$(cat $SUSPENDED)
}
watch_agent() {
  [ "$(cat $SUSPENDED)" = "$suspended" ] && return 0
  suspended=$(cat $SUSPENDED)
  echo "suspended $suspended times"
}

# In the place of the agent, something that answers all that it is asked, and does nothing.
begin_deaf() {
  until find_port; do sleep 0.1; done
  while :; do
    while read -r asked; do
      id=${asked##*\"id\":}
      case $asked in
        *guest-sync-delimited*) printf '\377{"return": %s}\n' "${id%%\}*}" ;;
        *guest-info*) echo '{"return": {"supported_commands": [{"name": "guest-suspend-ram", "enabled": true}]}}' ;;
        *) echo "deaf to $asked" >/dev/console ;;
      esac
    done
    sleep 0.1
  done <>"$port" >&0 &
}

# One connection to port 7 of the peer, which sends each line back.
begin_network() {
  mac=$(cat /sys/class/net/eth0/address)
  ip link set eth0 up
  ip addr add 10.0.2.50/24 dev eth0
  mkfifo /data/to /data/from
  nc 10.0.2.100 7 </data/to >/data/from &
  exec 5>/data/to 6</data/from
}
watch_network() {
  [ -d /sys/class/net/eth0 ] || [ -n "$mac" ] || return 0
  [ -n "$mac" ] || begin_network
  [ "$(cat /sys/class/net/eth0/address /sys/class/net/eth0/carrier | tr '\n' ' ')" = "$mac 1 " ] ||
    fault 'another card, or no link'
  echo "line $n" >&5
  got=
  read -r -t 120 got <&6
  [ "$got" = "line $n" ] || fault "the peer sent '$got'"
}

for what in disks tpm share nodes agent deaf; do
  case ,$watched, in *,$what,*) begin_$what ;; *) eval "watch_$what() { :; }" ;; esac
done
while :; do
  n=$((n + 1))
  sleep 0.1
  watch_disks
  watch_tpm
  watch_share
  watch_nodes
  watch_agent
  watch_network
  echo "tick $n bad $bad"
done
