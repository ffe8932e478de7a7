import { type Html, html, type Part } from './html.ts'

/** A row of a {@link table}: its cells by their headings, the first one names the row. `key`: a refresh keeps the row that has it. */
export const row = (cells: Readonly<Record<string, Part>>, key?: string): Html =>
  html`<tr role="row"${key !== undefined && html` data-key="${key}"`}>${Object.entries(cells).map(([heading, cell], n) =>
    n === 0 ? html`<th role="rowheader" scope="row">${cell}</th>` : html`<td role="cell" data-name="${heading}">${cell}</td>`,
  )}</tr>`

/** A table that becomes a list of cards where the screen is narrow; the roles keep it a table for those who hear it. */
export const table = (
  caption: string,
  headings: readonly string[],
  rows: readonly Html[],
): Html => html`<table role="table" data-key="${caption}">
<caption class="unseen">${caption}</caption>
<thead role="rowgroup"><tr role="row">${headings.map((one) => html`<th role="columnheader" scope="col">${one}</th>`)}</tr></thead>
<tbody role="rowgroup">${rows}</tbody></table>`
