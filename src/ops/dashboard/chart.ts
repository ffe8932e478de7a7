import { type Html, html } from './html.ts'

/** Height of the drawing; its width is one for each point. It is stretched to the room that there is, its labels stand beside it. */
const height = 200

/** One line of a chart. */
export interface Line {
  name: string
  /** The oldest first; null leaves a gap. */
  values: readonly (number | null)[]
  /** The figure of this moment, if another part of the page shows it too. Default: the last one that is known. */
  now?: number | null | undefined
}

/** What a chart shows. */
export interface Chart {
  title: string
  lines: readonly Line[]
  /** Writes a value with its unit. */
  unit: (value: number) => string
  /** The end of the scale for the highest value. */
  ceiling: (value: number) => number
  /** Milliseconds of a point. */
  pointMs: number
}

/**
 * A chart as inline SVG with its scales, and its figures in words for those who do not see it. dashboard.js reads `data-values` and shows the
 * figures under the pointer, or under the arrow keys.
 */
export function chart({ title, lines, unit, ceiling, pointMs }: Chart): Html {
  const known = lines.flatMap(({ values }) => values.filter((value) => value !== null))
  const width = Math.max(1, lines[0]!.values.length - 1)
  const top = ceiling(Math.max(0, ...known))
  const now = lines.map((line) => ({
    name: line.name,
    text: valueText(line.now === undefined ? latest(line.values) : line.now, unit),
  }))
  const several = lines.length > 1
  const spoken = now.map(({ name, text }) => (several ? `${name} ${text}` : text)).join(', ')
  const words = known.length === 0 ? 'no figures yet' : `now ${spoken}; highest ${unit(Math.max(...known))}`
  const minutes = ((width + 1) * pointMs) / 60_000
  return html`<figure class="chart">
<figcaption><span>${title}</span><span class="keys">${now.map(
    ({ name, text }, n) =>
      html`<span class="key">${several && html`<i class="key-${n}"></i>${name} `}<strong>${text}</strong></span>`,
  )}</span></figcaption>
<div class="plot">
<p class="scale" aria-hidden="true">${[top, top / 2, 0].map((value) => html`<span>${value === 0 ? '0' : unit(value)}</span>`)}</p>
<svg role="img" tabindex="0" data-ms="${pointMs}" aria-label="${title}, last ${minutes} minutes: ${words}" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none">
<path class="grid" d="${grid(width)}"/>
<path class="area" d="${area(lines[0]!.values, top)}"/>
${lines.map(({ name, values }, n) => html`<path class="line line-${n}" data-name="${several && name}" data-values="${values.map((value) => valueText(value, unit)).join('|')}" d="${path(values, top)}"/>${dot(values, top, n)}`)}
</svg>
<p class="times" aria-hidden="true">${[3, 2, 1].map((third) => html`<span>−${(minutes * third) / 3} min</span>`)}<span>now</span></p>
</div>
</figure>`
}

/** The last figure that is known, unless it is older than a quarter of a minute. */
export const latest = (values: readonly (number | null)[]): number | null =>
  values.slice(-3).findLast((value) => value !== null) ?? null

const valueText = (value: number | null, unit: Chart['unit']): string => (value === null ? '–' : unit(value))

/** The next of 2, 4, 6, 8, 10, 20, … above a value: the scale must not jump with every point, and its middle is a whole number. */
export function countCeiling(value: number): number {
  if (value <= 2) return 2
  const size = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 4, 6, 8, 10].find((step) => step * size >= value)! * size
}

const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000]
const times = [
  ...[20, 30, 60].map((n) => n * second),
  ...[2, 4, 6, 10, 20, 30, 60].map((n) => n * minute),
  ...[2, 4, 6, 12, 24].map((n) => n * hour),
]

/** The same for milliseconds, beyond ten seconds in steps of a clock. */
export const timeCeiling = (ms: number): number =>
  ms <= 10 * second ? countCeiling(ms) : (times.find((one) => one >= ms) ?? countCeiling(ms / day) * day)

const y = (value: number, top: number): number => Math.round(height * (1 - value / top))

const grid = (width: number): string =>
  `${[0, height / 2, height].map((at) => `M0 ${at}H${width}`).join('')}${[0, 1, 2].map((third) => `M${Math.round((width * third) / 3)} 0V${height}`).join('')}`

/** Parts of the line between gaps, each with the place of its first value. */
function parts(values: readonly (number | null)[]): { from: number; values: number[] }[] {
  const found: { from: number; values: number[] }[] = []
  values.forEach((value, n) => {
    if (value === null) return
    if (n === 0 || values[n - 1] === null) found.push({ from: n, values: [] })
    found.at(-1)!.values.push(value)
  })
  return found
}

/** From a first point on, each one to the right of the one before: relative places are short, and a page has a thousand of them. */
function points(from: number, values: readonly number[], top: number): string {
  const rows = values.map((value) => y(value, top))
  const steps = rows.slice(1).map((row, n) => `1${row < rows[n]! ? '' : ' '}${row - rows[n]!}`)
  return `${from} ${rows[0]}${steps.length > 0 ? `l${steps.join(' ')}` : ''}`
}

/** The line; a value alone between gaps is a dot. */
const path = (values: readonly (number | null)[], top: number): string =>
  parts(values)
    .map((part) => `M${points(part.from, part.values, top)}${part.values.length === 1 ? 'h0' : ''}`)
    .join('')

const area = (values: readonly (number | null)[], top: number): string =>
  parts(values)
    .filter((part) => part.values.length > 1)
    .map((part) => `M${part.from} ${height}L${points(part.from, part.values, top)}V${height}Z`)
    .join('')

/** Marks the end of the line. */
function dot(values: readonly (number | null)[], top: number, n: number): Html | false {
  const last = values.at(-1)
  return last != null && html`<path class="dot dot-${n}" d="M${values.length - 1} ${y(last, top)}h0"/>`
}
