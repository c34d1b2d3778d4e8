/** Tests of where a pool is looked for before its mount, without a region. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { UsageError } from '../values/errors.ts'
import { earlyPlace } from './early-pool.ts'

test('a pool in a region that is to be mounted on an empty directory has a place', (t) => {
  const mountPoint = mkdtempSync(join(tmpdir(), 'early-place-'))
  t.after(() => rmSync(mountPoint, { recursive: true }))
  const place = (options: string, at = mountPoint) =>
    earlyPlace({ pool: 'vms', mountPoint: at, options: [options] })
  assert.deepEqual(place('store=dax,nofail,x-systemd.device-timeout=5'), {
    ...{ pool: 'vms', mountPoint, kind: 'dax', region: null },
  })
  assert.equal(place('store=devmem,region=4G', `${mountPoint}/`)?.region, '4G')
  assert.equal(place('store=devmem', `${mountPoint}/`)?.mountPoint, mountPoint)
  for (const options of ['', 'size=1G', 'store=memfd']) assert.equal(place(options), undefined, options)
  assert.throws(() => place('store=dax,sise=1G'), UsageError)
  assert.throws(() => place('store=dax', join(mountPoint, 'none')), { code: 'ENOENT' })

  writeFileSync(join(mountPoint, 'file'), '')
  assert.equal(place('store=dax'), undefined, 'a path of the pool would lead to what lies there')
  mkdirSync(join(mountPoint, 'empty'))
  assert.notEqual(place('store=dax', join(mountPoint, 'empty')), undefined)
})

test('a directory where something is mounted already, an automount perhaps, is not looked into', () => {
  assert.equal(earlyPlace({ pool: 'vms', mountPoint: '/proc', options: ['store=dax'] }), undefined)
})
