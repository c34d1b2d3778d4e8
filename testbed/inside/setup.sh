#!/bin/sh
# What a distribution does between the kernel and the first service: file systems, drivers, the
# project's disk. Then it runs what the scenario asked to run at boot (/etc/testbed/at-boot).
export PATH=/opt/testbed/bin:/usr/sbin:/usr/bin
if [ ! -d /run/systemd/system ]; then # which does all this by itself
  mkdir -p /dev/pts /dev/shm
  mount -t devpts devpts /dev/pts
  mount -t tmpfs -o mode=1777 shm /dev/shm
  mount -t tmpfs -o mode=1777 tmp /tmp
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
  hostname testbed
  ip link set lo up
fi

# What udev would load. It obeys modprobe.blacklist=, as udev and kmod do; busybox's modprobe does not.
blacklist=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^modprobe\.blacklist=//p' | tr '\n' ',')
grep -q ' vmx' /proc/cpuinfo && kvm=kvm_intel || kvm=kvm_amd
for module in $kvm dax_hmem kmem device_dax; do
  case ",$blacklist," in *,$module,*) continue ;; esac
  modprobe $module 2>/dev/null
done
# Before any guest: from here on KVM has no reason to patch code that guests run (image/held-vm.ts).
[ -d /run/systemd/system ] || [ ! -c /dev/kvm ] || /usr/lib/testbed/held-vm &
chgrp kvm /dev/kvm 2>/dev/null && chmod 660 /dev/kvm

mkdir -p /opt/testbed /run/testbed/logs
mount -t ext4 -o noatime /dev/vdb /opt/testbed
[ -x /etc/testbed/at-boot ] && /etc/testbed/at-boot >/run/testbed/logs/at-boot 2>&1 </dev/null &
# The agent starts after this script. The held VM never ends.
[ ! -e /etc/testbed/at-boot.alone ] || wait $!
exit 0
