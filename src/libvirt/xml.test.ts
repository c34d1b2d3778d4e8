import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CorruptBytesError } from '../values/errors.ts'
import { allElements, attributeAt, childrenOf, elementAt, parseXml } from './xml.ts'

test('elements, attributes in both quotes, text, and what is left out', () => {
  const root = parseXml(`<?xml version='1.0'?>
<!-- made by <somebody> -->
<domain type='kvm' id="7" xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>a &amp; b &lt;&#x2713;&#33;&gt;</name>
  <metadata><note:any xmlns:note="urn:x" at='it&apos;s &quot;so&quot;'><![CDATA[</domain> & more]]></note:any></metadata>
  <devices>
    <disk type='file' device='disk'/>
    <disk type='block' device='lun' />
  </devices>
</domain>
`)
  assert.equal(root.name, 'domain')
  assert.deepEqual([root.attributes.get('type'), root.attributes.get('id')], ['kvm', '7'])
  assert.equal(elementAt(root, 'name')?.text, 'a & b <✓!>')
  const note = elementAt(root, 'metadata', 'note:any')
  assert.equal(note?.attributes.get('at'), `it's "so"`)
  assert.equal(note?.text, '</domain> & more')
  const devices = elementAt(root, 'devices')
  assert.ok(devices)
  assert.deepEqual(
    childrenOf(devices, 'disk').map(({ attributes }) => attributes.get('device')),
    ['disk', 'lun'],
  )
  assert.equal(attributeAt(root, 'type', 'devices', 'disk'), 'file')
  assert.equal(attributeAt(root, 'type', 'devices', 'interface'), undefined)
  assert.deepEqual(
    [...allElements(root)].map(({ name }) => name),
    ['domain', 'name', 'metadata', 'note:any', 'devices', 'disk', 'disk'],
  )
})

test('what is no XML of libvirt is refused, wherever it is wrong', () => {
  const deep = 201
  for (const text of [
    '',
    'no XML',
    '<domain>',
    '<domain></name>',
    '<domain/><domain/>',
    '<domain/>text',
    '</domain>',
    '<domain type=kvm/>',
    '<domain type="kvm/>',
    '<!DOCTYPE domain><domain/>',
    '<domain><!-- </domain>',
    '<a>'.repeat(deep) + '</a>'.repeat(deep),
  ])
    assert.throws(() => parseXml(text), CorruptBytesError, text.slice(0, 40))
})

test('an entity that XML does not have stays as it is, and none is expanded twice', () => {
  assert.equal(parseXml('<a>&nbsp; &amp;lt; &#x110000;</a>').text, '&nbsp; &lt; &#x110000;')
})
