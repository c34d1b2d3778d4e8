/**
 * The campaign `kexecs` repeats the testbed's scenario `cycles`: a host in QEMU gets one kernel after the
 * other by real kexecs, under a guest that compares every word of its RAM.
 */
import { testbedObstacle } from '../testbed/obstacle.ts'
import { runTrusted } from '../testbed/scenario/trusted-run.ts'
import { cycles } from '../testbed/scenarios/cycles.ts'
import { type Campaign, round } from './campaign.ts'

/** To boot the first kernel; and for each that follows, under emulation. */
const BOOT_SECONDS = 60
const KEXEC_SECONDS = 90
const MOST_IN_A_ROW = 20

export const kexecs: Campaign = {
  about: 'kexecs in a row in the testbed, with every word of guest RAM compared after each; minutes a round',
  obstacle: () => testbedObstacle(async (_name, work) => await work()),
  async run(stage) {
    do {
      const seed = stage.seed()
      const fit = Math.floor((stage.secondsLeft() - BOOT_SECONDS) / KEXEC_SECONDS)
      const count = Math.min(MOST_IN_A_ROW, Math.max(1, fit))
      const passed = await round(stage, seed, async (figures) => {
        const options = { words: [String(count)] }
        const { summary, result, emulator } = await runTrusted('cycles', cycles, options, stage.say)
        if (emulator !== undefined) figures.repeatedForTheEmulator = 1
        if (summary.verdict !== 'passed') throw new Error(`${summary.failure} (${summary.folder})`)
        figures.kexecs = result?.kexecs ?? 0
        figures.wordsEachMost = result?.words ?? 0
      })
      if (!passed) return
    } while (stage.secondsLeft() > BOOT_SECONDS + KEXEC_SECONDS)
  },
}
