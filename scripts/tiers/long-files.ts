/**
 * The files of test/mount and test/vm that `npm test` leaves out, so that it ends in minutes: they kill a
 * process at every step, go through every property of a machine, or boot several versions, and take half a
 * minute or more each. `npm run test:all` and CI run them. A file that is new runs with `npm test` until it
 * is named here.
 */
export const LONG_FILES = {
  mount: [
    'both-dead',
    'descriptor-store',
    'hidden-processes',
    'install-killed',
    'lost-record',
    'pool-size',
    'region-forced-unmount',
    'region-takeover',
    'run-folder',
    'server-killed',
    'systemd-versions',
    'unit-refusals',
    'unit-restarts',
    'upgrade',
    'versions-agree',
  ],
  vm: [
    'carried-late',
    'carried-networks',
    'changed-run-time',
    'changed-settings',
    'damaged-records',
    'failures',
    'faulty-monitor',
    'helpers',
    'kernel-signals',
    'late-pools',
    'migration-settings',
    'next-machine',
    'owner-attacks',
    'passt',
    'plugged-elsewhere',
    'plugged-ram',
    'report-unkept',
    'set-for-save',
    'several',
    'shared-memory',
    'spread-copies',
    'spread-ram',
    'successor',
    'trial',
    'unread-machine',
    'update-killed',
    'versions',
  ],
}
