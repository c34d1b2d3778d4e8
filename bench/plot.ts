/** Grouped bars as SVG. Must not: interpret the numbers. */

export interface Group {
  readonly label: string
  /** One value for each series, not negative. */
  readonly values: readonly number[]
}

const WIDTH = 640
const HEIGHT = 320
const MARGIN = { top: 56, bottom: 40, side: 24 }
const COLOURS = ['#1f6feb', '#b08800', '#57606a']

const escaped = (text: string): string => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`)
const text = (x: number, y: number, words: string, anchor = 'middle'): string =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}">${escaped(words)}</text>`

/** Bars of each group side by side, each with its value above it; `series` names the bars of a group. */
export function barChart(title: string, series: readonly string[], groups: readonly Group[]): string {
  const highest = Math.max(1, ...groups.flatMap(({ values }) => values))
  const room = HEIGHT - MARGIN.top - MARGIN.bottom
  const groupWidth = (WIDTH - 2 * MARGIN.side) / Math.max(1, groups.length)
  const barWidth = (groupWidth * 0.7) / Math.max(1, series.length)
  const bars = groups.flatMap(({ label, values }, group) => {
    const left = MARGIN.side + group * groupWidth + groupWidth * 0.15
    const drawn = values.map((value, index) => {
      const height = (value / highest) * room
      const [x, y] = [left + index * barWidth, MARGIN.top + room - height]
      const bar = `<rect x="${x}" y="${y}" width="${barWidth - 4}" height="${height}" fill="${COLOURS[index]}"/>`
      return bar + text(x + barWidth / 2 - 2, y - 4, value < 10 ? value.toFixed(1) : value.toFixed(0))
    })
    return [...drawn, text(left + groupWidth * 0.35, HEIGHT - MARGIN.bottom + 20, label)]
  })
  const legend = series.map((name, index) => {
    const x = MARGIN.side + index * 160
    return `<rect x="${x}" y="30" width="12" height="12" fill="${COLOURS[index]}"/>${text(x + 18, 41, name, 'start')}`
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    text(MARGIN.side, 20, title, 'start'),
    ...legend,
    ...bars,
    '</svg>\n',
  ].join('\n')
}
