/** Rows of kinds C to F: pools, their processes and their mounts. */
import type { Row } from './row.ts'

const MOUNT = 'test/mount'
const VM = 'test/vm'

export const POOL_ROWS: readonly Row[] = [
  {
    id: 'C1',
    about:
      'a server restarts while /run is full, and the keeper dies: mount does not know the pool that it has',
    file: `${MOUNT}/lost-record.test.ts`,
    title: '/run is full while a server restarts, then the keeper dies',
    how: 'old tree',
    says: /Input:\s+"guestmemfs: \S+ is busy: pool '\S+' is mounted there; unmount it first/,
  },
  {
    id: 'C2',
    about: 'SIGTERM ends a keeper whose server is dead, and the pool with it',
    file: `${MOUNT}/keeper-sigterm.test.ts`,
    title: 'its server is dead',
    how: 'old tree',
    says: /strictly unequal to: \d+'[\s\S]*assertEndsWithServer/,
  },
  {
    id: 'C3',
    about: 'several requests are sent again: one that was applied is carried out twice',
    file: 'src/server/successor.test.ts',
    title:
      'requests that are sent again in any order, to servers that die in turn, are carried out once each',
    how: [
      {
        path: 'src/server/successor.ts',
        now: 'if (this.#open.size === 0) return [request]',
        before: 'if (this.#open.size >= 0) return [request]',
      },
      {
        path: 'src/server/dispatch.ts',
        now: '    return this.dispatch(request, reply)\n  }',
        before: '    this.#applied = undefined\n    return this.dispatch(request, reply)\n  }',
      },
    ],
    says: /Property failed after [\s\S]*\+\s+-(2|17)\s+-\s+0\s/,
  },
  {
    id: 'C4',
    about: 'a FORGET is lost with its server: the memory stays pinned after a later rm',
    file: `${MOUNT}/orphans.test.ts`,
    title:
      'a file that the kernel forgot while its server died gives its memory back when it is deleted later',
    how: 'old tree',
    says: /\d+ ms went by without: its blocks are back/,
  },
  {
    id: 'C5',
    about: "the answer 'no process maps it' never expires",
    file: 'src/stores/devmem/devmem-store.test.ts',
    title: 'that no process held an object is valid only while the operation that asked can use it',
    how: [
      {
        path: 'src/stores/devmem/devmem-guest-ram.ts',
        now: 'const FREE_COUNTS_MS = 100',
        before: 'const FREE_COUNTS_MS = Infinity',
      },
    ],
    says: /\+ false\s+- Wait \{\s+-\s+reason: 'store'/,
  },
  {
    id: 'C6',
    about: 'a worker that hangs is never noticed, and what waits for it waits for ever',
    file: 'src/stores/carve-out/worker-watch.test.ts',
    title: 'a server whose worker hangs says so within five seconds, and ends by a signal',
    how: [
      {
        path: 'src/stores/carve-out/worker-client.ts',
        now: '    if (reason === undefined) return\n',
        before: '    if (reason !== null) return\n',
      },
    ],
    says: /and has not answered 1 requests[^\n]*Input:\s+''/,
  },
  {
    id: 'C7',
    about: 'an errno of a backing memfd is an exception that ends the server',
    file: `${MOUNT}/kernel-refuses.test.ts`,
    title: 'a limit on the size of the memory of files is EFBIG, and the server serves on',
    how: 'old tree',
    says: /'EIO' !== 'EFBIG'/,
  },
  {
    id: 'C7b',
    about: 'without CAP_SYS_RESOURCE the OOM killer may take keeper and server, and nothing says so',
    file: `${MOUNT}/kernel-refuses.test.ts`,
    title: 'a keeper that the OOM killer may take says so once',
    how: 'old tree',
    says: /server \d+ died \(SIGKILL\); starting it again"\}\s+0 !== 1/,
  },
  {
    id: 'C8',
    about: 'a memfd that cannot be sealed, as one retrieved on Linux 6.19, ends the server',
    file: 'src/stores/memfd/memfd-store.test.ts',
    title: 'what the kernel refuses of a memfd is the answer, not an exception',
    how: [
      {
        path: 'src/stores/memfd/memfd-store.ts',
        now: 'return refused !== undefined && refused !== EPERM',
        before:
          "if (refused === EPERM) throw new Error('F_ADD_SEALS: EPERM')\n    return refused !== undefined",
      },
    ],
    says: /F_ADD_SEALS: EPERM/,
  },
  {
    id: 'C8b',
    about:
      'a handover is offered on Linux 6.19, which gives zeroes for holes that were touched after the step',
    file: 'src/liveupdate/preflight/check-handover.test.ts',
    title: 'kernels whose handover was never tested are distinguished from the one that was',
    how: [
      {
        path: 'src/host/luo-kernels.ts',
        now: 'const SOUND: Version = { major: 7, minor: 0 }',
        before: 'const SOUND: Version = { major: 6, minor: 19 }',
      },
    ],
    says: /\+\s+'warn',\s+\+\s+'handing memory over was shown on Linux [\d.]+, and never run on Linux 6\.19'/,
  },
  {
    id: 'D1',
    about: 'root follows a directory that the owner of a guest swaps for a symlink',
    file: `${VM}/owner-attacks.test.ts`,
    title: 'a directory swapped while the update waits for QEMU leads root nowhere',
    how: 'old tree',
    says: /root made a file where root alone may write\s+\+ actual - expected\s+\[\s+\+\s+'\S+\.vmstate',/,
  },
  {
    id: 'D2',
    about: "the environment that the owner recorded is that of root's own processes",
    file: `${VM}/owner-attacks.test.ts`,
    title: 'no root process runs what the recorded environment names: PATH, loader and Node',
    how: 'old tree',
    says: /Set\(1\) \{\s+\+\s+0\s+-\s+65534\s/,
  },
  {
    id: 'D3',
    about: "a devmem guest of another user's: QEMU opens the user's files as root, and root was not asked",
    file: 'src/qemu/devmem-trust.test.ts',
    title: "another user's devmem guest is refused in one line unless the user is trusted",
    how: [
      {
        path: 'src/qemu/devmem-trust.ts',
        now: '  if (!isTrusted)\n',
        before: '  if (isTrusted === undefined)\n',
      },
    ],
    says: /Missing expected exception/,
  },
  {
    id: 'D4',
    about: 'every user may read guest RAM that `run` has made',
    file: `${VM}/owner.test.ts`,
    title: "a guest's RAM is its user's alone, and each QEMU has one umask, whatever the callers'",
    how: 'old tree',
    says: /\+\s+438,\s+-\s+384,\s+65534,/,
  },
  {
    id: 'D5',
    about: 'owner and mode of a RAM file in a carve-out are lost with its node',
    file: 'src/server/node-owners.test.ts',
    title: 'owner and mode by chmod and chown stay through every kind of resize',
    how: [
      {
        path: 'src/server/node-owners.ts',
        now: '  const { uid, gid, mode } = owner\n',
        before: '  const { uid, gid, mode } = { ...owner, mode: inode.mode }\n',
      },
    ],
    says: /\+ '640 107:107'\s+- '1600 107:107'/,
  },
  {
    id: 'D6',
    about: 'every user may read names in closed directories, and keeps the server busy with them',
    file: `${MOUNT}/names-in-xattrs.test.ts`,
    title: 'names in a closed directory',
    how: 'old tree',
    says: /expected to not match the regular expression \/only-for-its-owner\//,
  },
  {
    id: 'D7',
    about: 'under umask 027 no other user reaches the nodes of guest RAM',
    file: 'src/stores/dax/guest-nodes.test.ts',
    title:
      'whatever the umask, every user may enter the folders of a node, and the node has its own owner and mode',
    how: [
      { path: 'src/stores/dax/guest-nodes.ts', now: '    chmodSync(nodeRoot, 0o755)\n', before: '' },
      {
        path: 'src/stores/dax/guest-nodes.ts',
        now: '    chmodSync(this.#folder, 0o711)\n',
        before: '    void chmodSync\n',
      },
    ],
    says: /\+\s+488,\s+\+\s+448\s+-\s+493,\s+-\s+457\s/,
  },
  {
    id: 'D8',
    // Seen where there is no carve-out: it looks for one, and asks for no namespace.
    about: 'a nested pid namespace, which hides who maps its memory, is no reason to refuse a carve-out',
    file: `${MOUNT}/hidden-processes.test.ts`,
    title: 'a carve-out is refused where processes are hidden, by the name of what hides them',
    how: 'old tree',
    says: /error: 'nested: mount [\s\S]*guestmemfs: there is no carve-out/,
  },
  {
    id: 'E1',
    about: 'guests stay down after a boot with the line of fstab that the docs show',
    file: `${MOUNT}/resume-unit.test.ts`,
    title: 'guests are resumed after the mounts of fstab',
    how: 'old tree',
    says: /\+\s+'no',\s+-\s+'yes',\s+'success'/,
  },
  {
    id: 'E5',
    about: 'a pool of memfds cannot be resized: `remount` is no option',
    file: `${MOUNT}/pool-size.test.ts`,
    title: 'a mounted pool grows and shrinks, and every command shows its size',
    how: 'old tree',
    says: /128M\s+\+ actual - expected[\s\S]*guestmemfs: unknown mount option 'remount'/,
  },
  {
    id: 'E5b',
    about: '`mode=`, `uid=`, `gid=` and `size=50%` are unknown',
    file: `${MOUNT}/mount-options.test.ts`,
    title: 'mount options',
    how: 'old tree',
    says: /guestmemfs: unknown mount option 'mode=\d+'[\s\S]*guestmemfs: size '50%' is not a size/,
  },
  {
    id: 'E8',
    about: 'after `umount -l` under guests no message names a way back',
    file: `${MOUNT}/forced-unmount.test.ts`,
    title: 'after umount -l the message names the command that mounts it again, and it does',
    how: 'old tree',
    says: /Input:\s+'guestmemfs: \S+ is not mounted here: it is used in another mount namespace/,
  },
  {
    id: 'F1',
    about: 'fifos, sockets and devices: EPERM',
    file: `${MOUNT}/special-files.test.ts`,
    title: 'they are of the types that stat shows, work through the kernel, and outlive servers and keepers',
    how: 'old tree',
    says: /mkfifo: cannot create fifo 'fifo': Operation not permitted/,
  },
  {
    id: 'F1b',
    about: 'a size beyond the largest file is ENOSPC, and so is not told from one that a larger pool has',
    file: `${MOUNT}/statfs.test.ts`,
    title: 'a full pool: all or nothing, nothing leaked, and what exists goes on',
    how: 'old tree',
    says: /\+\s+'truncate guest RAM': 'ENOSPC',[\s\S]*-\s+'truncate guest RAM': 'EFBIG'/,
  },
]
