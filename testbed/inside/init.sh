#!/bin/sh
# Process 1 of the testbed's host: sets the machine up, then keeps the agent running and reaps orphans.
# busybox's init does both; a host with systemd (`init: 'systemd'`) does not run it.
printf '%s\n' '::sysinit:/usr/lib/testbed/setup.sh' '::respawn:/usr/lib/testbed/agent.sh' >/run/inittab
mkdir -p /etc && ln -sf /run/inittab /etc/inittab
exec busybox init
