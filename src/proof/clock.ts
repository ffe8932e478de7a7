/** Milliseconds of the machine's monotonic clock: one scale for all processes, so that traces and writers can be compared. */
export type MonotonicMs = number

const offset = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** Now, on the machine's monotonic clock. */
export const monotonicMs = (): MonotonicMs => performance.now() + offset
