/** Topics, or reasons, that have a label of their own; each is a time series for every metric that has the label. */
export const ownLabels = 100

/** Gives the first hundred names a label of their own, and every later one `other`: a monitoring system dies of unbounded labels. */
export class BoundedLabels {
  readonly #known = new Set<string>()

  of(name: string): string {
    if (this.#known.has(name)) return name
    if (this.#known.size >= ownLabels) return 'other'
    this.#known.add(name)
    return name
  }
}
