import { isOutboxError } from '../../src/message/errors.ts'

/** Code and field of the OutboxError that `act` throws at the call. */
export function refusal(act: () => unknown): { code: string; field: string | undefined } {
  try {
    act()
  } catch (error) {
    if (!isOutboxError(error)) throw error
    if (error.remedy === '') throw new Error('The error has no remedy.')
    return { code: error.code, field: error.field }
  }
  throw new Error('Nothing was thrown.')
}
