import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileMappings } from './page-sizes.ts'

const MIB = 2 ** 20
/** As Linux 7 prints them, shortened. */
const DAX = '7f98c0000000-7f9900000000 rw-s 00000000 00:06 12         /dev/guestmemfs/p/3'
const SHMEM = '7f9900000000-7f9908000000 rw-s 00200000 00:05 9          /mnt/gm/a file (deleted)'
const block = (head: string, page: number, pmd = 0) => `${head}
Size:              1048576 kB
KernelPageSize:    ${page} kB
MMUPageSize:       ${page} kB
ShmemPmdMapped:    ${pmd} kB
FilePmdMapped:            0 kB
VmFlags: rd wr sh mr
`

test('the pages of each wanted mapping, wherever it begins in its file', (t) => {
  const proc = mkdtempSync(join(tmpdir(), 'smaps-'))
  t.after(() => rmSync(proc, { recursive: true }))
  const add = (pid: string, files: Readonly<Record<string, string>>) => {
    mkdirSync(join(proc, pid))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(proc, pid, name), text)
  }
  add('7', {
    comm: 'qemu-system-x86\n',
    maps: `${DAX}\n${SHMEM}\n`,
    smaps: block(DAX, 2 ** 20) + block(SHMEM, 4, 2048),
  })
  add('8', { comm: 'sh\n', maps: '7f-80 rw-p 00000000 00:00 0 [heap]\n', smaps: 'not read' })
  const found = fileMappings((path) => path.startsWith('/dev/guestmemfs/') || path === '/mnt/gm/a file', {
    proc,
  })
  assert.deepEqual(found, [
    {
      pid: 7,
      program: 'qemu-system-x86',
      path: '/dev/guestmemfs/p/3',
      offsetBytes: 0,
      lengthBytes: 2 ** 30,
      kernelPageBytes: 2 ** 30,
      pmdMappedBytes: 0,
    },
    {
      pid: 7,
      program: 'qemu-system-x86',
      path: '/mnt/gm/a file',
      offsetBytes: 2 * MIB,
      lengthBytes: 128 * MIB,
      kernelPageBytes: 4096,
      pmdMappedBytes: 2 * MIB,
    },
  ])
  assert.deepEqual(
    fileMappings((_, offset) => offset === 2 * MIB, { proc }).map(({ path }) => path),
    ['/mnt/gm/a file'],
  )
  add('9', {
    comm: 'qemu\n',
    maps: `${SHMEM}\n`,
    smaps: block(SHMEM, 4),
    numa_maps: '7f9900000000 bind:1 file=/mnt/gm/a\\\\040file dirty=2 N1=2 kernelpagesize_kB=4\n',
  })
  const nodes = fileMappings((path) => path.startsWith('/mnt/gm'), { proc, hasNodes: true })
  assert.deepEqual(
    nodes.map(({ pid, nodeBytes }) => [pid, nodeBytes]),
    [
      [7, []],
      [9, [{ node: 1, bytes: 8192 }]],
    ],
  )
})
