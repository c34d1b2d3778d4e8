/** Tests of the durations of the parts of a boot. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BootClock } from './boot-clock.ts'

test('each boot is told apart in what loads, what the kernel does, and what comes after', () => {
  const clock = new BootClock(1000)
  clock.readConsole('[    0.000000] Linux version 6.12.107', 1500)
  clock.readConsole('[    2.000000] Run /init as init process', 4000)
  clock.complete('6.12.107', 9000)
  clock.readConsole('[   25.760450] kexec_core: Starting new kernel', 20_000)
  clock.readConsole('[    0.000000] Linux version 7.3.4', 26_000)
  clock.readConsole('[    2.000000] Run /init as init process', 28_000)
  clock.complete('7.3.4', 33_000)
  assert.deepEqual(clock.boots, [
    { release: '6.12.107', loadMs: 500, kernelMs: 2500, userMs: 5000 },
    { release: '7.3.4', loadMs: 6000, kernelMs: 2000, userMs: 5000 },
  ])
})
