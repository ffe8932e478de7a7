/** Milliseconds of the machine's monotonic clock: one scale for all processes, so that traces and writers can be compared. */
export type MonotonicMs = number

/** Now, on the machine's monotonic clock. `performance.now()` counts from the start of its process, which no other process knows exactly. */
export const monotonicMs = (): MonotonicMs => Number(process.hrtime.bigint()) / 1e6
