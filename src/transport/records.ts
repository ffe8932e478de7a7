import type { TransportRecord } from './transport.ts'

/** Share of a publish's time that the broker may wait for its replicas, so that its own REQUEST_TIMED_OUT comes before our deadline. */
export const replicaTimeShare = 0.7

/** What {@link unfit} records have in common, in words. */
export const unfitWords = 'A key or value is not bytes, or a header is not a string.'

/** Indexes of records that a client could not encode, or would encode as something else: an undefined value as a tombstone. */
export function unfit(records: readonly TransportRecord[]): number[] {
  const isBytes = (bytes: unknown) => bytes === null || bytes instanceof Uint8Array
  const found: number[] = []
  for (const [index, { key, value, headers }] of records.entries()) {
    let fits = isBytes(key) && isBytes(value)
    for (const name in headers) fits &&= typeof headers[name] === 'string'
    if (!fits) found.push(index)
  }
  return found
}
