import { type Html, html } from './html.ts'

/** Size of the drawing; it is stretched to the width that there is. */
const width = 180
const height = 48

/** One line of a chart. */
export interface Line {
  name: string
  /** The oldest first; null leaves a gap. */
  values: readonly (number | null)[]
}

/** What a chart shows. */
export interface Chart {
  title: string
  lines: readonly Line[]
  /** Writes a value with its unit. */
  unit: (value: number) => string
  /** Span of time of all values, in words. */
  over: string
}

/** A chart as inline SVG, with its figures in words for those who do not see it. */
export function chart({ title, lines, unit, over }: Chart): Html {
  const known = lines.flatMap(({ values }) => values.filter((value) => value !== null))
  const top = ceiling(Math.max(0, ...known))
  const now = lines.map(({ name, values }) => `${lines.length > 1 ? `${name} ` : ''}${valueText(values.at(-1) ?? null, unit)}`)
  const words = known.length === 0 ? 'no figures yet' : `now ${now.join(', ')}; highest ${unit(Math.max(...known))}`
  return html`<figure class="chart">
<figcaption><span>${title}</span> <strong>${now.join(' · ')}</strong></figcaption>
<svg role="img" aria-label="${title}, ${over}: ${words}" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none">
<path class="grid" d="M0 .5H${width}M0 ${height / 2}H${width}M0 ${height - 0.5}H${width}"/>
${lines.map(({ values }, n) => html`<path class="line line-${n}" d="${path(values, top)}"/>`)}
</svg>
<p class="axis" aria-hidden="true"><span>${over}</span><span>${known.length > 0 && `top ${unit(top)}`}</span></p>
</figure>`
}

const valueText = (value: number | null, unit: Chart['unit']): string => (value === null ? '–' : unit(value))

/** The next of 1, 2, 5, 10, … above a value: the scale must not jump with every point. */
export function ceiling(value: number): number {
  if (value <= 1) return 1
  const size = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].find((step) => step * size >= value)! * size
}

/** The line; a value alone between gaps is a short stroke. */
function path(values: readonly (number | null)[], top: number): string {
  const step = width / Math.max(1, values.length - 1)
  let drawing = false
  return values
    .map((value, n) => {
      if (value === null) {
        drawing = false
        return ''
      }
      const at = `${round(n * step)} ${round(height - 1 - (value / top) * (height - 2))}`
      const start = drawing ? `L${at}` : `M${at}${values[n + 1] == null ? 'h1' : ''}`
      drawing = true
      return start
    })
    .join('')
}

const round = (value: number): number => Math.round(value * 10) / 10
