/** Tests of which machines wake up with all that they had, by their lines. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wakeProblem } from './wake-firmware.ts'

const problem = (machineType: string, ...options: string[]) =>
  wakeProblem({ machineType, argv: ['qemu-system-x86_64', ...options] })

test('a q35 machine with SeaBIOS would wake up without ACPI, and is named; others are not', () => {
  for (const machineType of ['q35', 'pc-q35-10.0'])
    for (const options of [
      [],
      ['-bios', '/usr/share/seabios/bios-256k.bin'],
      ['-bios', 'bios.bin'],
      ['-drive', 'file=disk,if=virtio'],
    ])
      assert.match(
        problem(machineType, ...options) ?? '',
        /it would wake up without them: .* machine type pc/,
      )
  for (const options of [
    ['-bios', '/usr/share/ovmf/OVMF.fd'],
    ['-pflash', 'OVMF_CODE.fd'],
    ['-drive', 'if=pflash,format=raw,file=OVMF_CODE.fd'],
    ['-machine', 'q35,pflash0=code'],
    ['-M', 'q35,pflash0=code'],
    ['-machine', 'q35,firmware=OVMF.fd'],
  ])
    assert.equal(problem('pc-q35-10.0', ...options), undefined)
  for (const machineType of ['pc', 'pc-i440fx-10.0', 'microvm', 'virt-10.0'])
    assert.equal(problem(machineType), undefined)
})
