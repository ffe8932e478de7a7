export { isOutboxError, OutboxError, type OutboxErrorCode, type OutboxErrorDetails } from './message/errors.ts'
