/**
 * The project's own mount tests on kernels that this machine may not have: `npm test -- mount`, inside. Words
 * choose files by name. Slow under emulation: there, tests that restart the server a hundred times do not end
 * within their own limits. The verdict is the runner's.
 */
import type { Scenario } from '../scenario/scenario.ts'

const TIMEOUT_MS = 1500_000

export const mountTier: Scenario = {
  about: 'the mount tier of the tests, run inside on the kernel you name; words choose test files',
  memory: '3G',
  timeoutMs: TIMEOUT_MS + 300_000,
  async run({ host, words, phase, keep }) {
    const tier = await host.start(
      'mount-tier',
      `cd /opt/testbed/guestmemfs && node scripts/test.ts mount ${words.join(' ')}`,
    )
    const ended = await phase('mount tier', () => tier.log.waitForEnd(TIMEOUT_MS))
    const sum = /^(\d+) passed, (\d+) failed$/m.exec(tier.log.text)
    keep('mount tier', sum?.[0] ?? tier.log.text.slice(-2000))
    if (ended !== 0) throw new Error(`the mount tier failed (${ended}): ${tier.log.text.slice(-3000)}`)
  },
}
