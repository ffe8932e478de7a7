/** Exit codes of the program, as the README lists them. */
export const exitCodes = {
  /** Done. */
  done: 0,
  /** Not found, not answered, dead again, not proved, a failure found by `doctor`, no database or no Kafka to ask, not foreseen, or a relay had to stop with messages in flight. */
  failed: 1,
  /** Wrong flags, environment or database: nothing was done, and trying again will not help. */
  refused: 2,
  /** `relay --drain` had to leave messages behind. */
  left: 3,
  /** A second SIGHUP, SIGINT or SIGTERM broke the stopping off, or the first one a proof: 128 and the signal's number. */
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const

/** Signals that ask a program to end: by an orchestrator, by Ctrl-C, and by a terminal that is closed. */
export const endingSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/** One of {@link endingSignals}. */
export type EndingSignal = (typeof endingSignals)[number]

/** The exit code of a program that such a signal has broken off. */
export const endedBy: Record<EndingSignal, number> = {
  SIGTERM: exitCodes.terminated,
  SIGINT: exitCodes.interrupted,
  SIGHUP: exitCodes.hungUp,
}
