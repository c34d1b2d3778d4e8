#!/bin/sh
# The environment of the agent, and so of every command a scenario runs. init starts it again when it
# ends; the testbed treats a console line that begins with `testbed:` as a failure.
export PATH=/opt/testbed/bin:/usr/sbin:/usr/bin HOME=/root LANG=C
export NODE_COMPILE_CACHE=/var/cache/node NODE_OPTIONS=--disable-warning=ExperimentalWarning
node /opt/testbed/agent/agent.js </dev/null >/dev/console 2>&1
echo "testbed: the agent ended ($?)" >/dev/console
sleep 1
