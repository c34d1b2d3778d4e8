#!/bin/busybox sh
# The first moments of the testbed's host: load the disk driver, mount the root image, switch to it.
# setup.sh loads later what a distribution's udev would load.
export PATH=/bin
busybox mkdir -p /proc /sys /dev /run /sysroot
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
busybox mount -t tmpfs -o mode=755 run /run
busybox mv /lib/modules /run/modules
busybox mkdir /lib/modules
busybox ln -s "/run/modules/$(busybox uname -r)" "/lib/modules/$(busybox uname -r)"
busybox modprobe virtio_blk 2>/dev/null # built in, on some kernels
tries=0
until [ -b /dev/vda ]; do
  tries=$((tries + 1))
  [ $tries -gt 100 ] && echo "testbed: no root disk" && busybox poweroff -f
  busybox sleep 0.1
done
busybox mount -t ext4 -o noatime /dev/vda /sysroot || busybox poweroff -f
init=$(busybox tr ' ' '\n' </proc/cmdline | busybox sed -n 's/^init=//p')
for mount in /proc /sys /dev /run; do busybox mount --move $mount /sysroot$mount; done
exec busybox switch_root /sysroot "${init:-/usr/lib/testbed/init.sh}"
