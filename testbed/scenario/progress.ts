/**
 * The progress of a scenario for the operator: one line a phase, on standard error; animated only on a
 * terminal.
 */
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const FRAME_MS = 120
/** Without a terminal, a line this often shows that a long step goes on. */
const LIFE_MS = 30_000

export class Progress {
  readonly #moving = process.stderr.isTTY === true

  /** Shows `name`, and `detail` where there is one, while `work` runs; then how long it took. */
  async show<T>(name: string, work: () => Promise<T>, detail?: () => string): Promise<T> {
    const startMs = performance.now()
    const seconds = () => `${((performance.now() - startMs) / 1000).toFixed(1)} s`
    const tell = () => this.#draw(name, [seconds(), ...(detail ? [detail()] : [])].join('  '))
    const live = () => this.say(`… ${name}  ${[seconds(), ...(detail ? [detail()] : [])].join('  ')}`)
    const timer = this.#moving ? setInterval(tell, FRAME_MS) : setInterval(live, LIFE_MS)
    try {
      const value = await work()
      this.#settle(`✓ ${name}  ${seconds()}`)
      return value
    } catch (error) {
      this.#settle(`✗ ${name}  ${seconds()}`)
      throw error
    } finally {
      clearInterval(timer)
    }
  }

  say(line: string): void {
    this.#settle(line)
  }

  #draw(name: string, state: string): void {
    const frame = FRAMES[Math.floor(performance.now() / FRAME_MS) % FRAMES.length]
    process.stderr.write(`\r\x1b[K${frame} ${name}  ${state}`)
  }

  #settle(line: string): void {
    process.stderr.write(`${this.#moving ? '\r\x1b[K' : ''}${line}\n`)
  }
}
