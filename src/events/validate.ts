import { types } from 'node:util'
import { OutboxError } from '../message/errors.ts'
import { pathTo } from '../message/payload.ts'
import type { SchemaIssue, SchemaResult, StandardSchema } from './standard-schema.ts'

/** What is validated, for the error. */
interface Subject {
  type: string
  version: number
  /** Where the payload stands: `payload`. */
  field: string
}

/**
 * What the schema makes of the value; a promise only where the schema is asynchronous. Throws INVALID_PAYLOAD with the path and the reason
 * of the first issue.
 */
export function validate(schema: StandardSchema, value: unknown, subject: Subject): unknown {
  const result = schema['~standard'].validate(value)
  return types.isPromise(result) ? result.then((settled) => outcome(settled, subject)) : outcome(result, subject)
}

function outcome(result: SchemaResult<unknown>, { type, version, field: root }: Subject): unknown {
  if (result.issues === undefined) return result.value
  const [issue] = result.issues
  const field = pathTo(root, stepsOf(issue))
  const more = result.issues.length > 1 ? `, and ${result.issues.length - 1} more` : ''
  const what = `${field} does not fit version ${version} of ${type} (${reasonOf(issue)}${more}).`
  throw new OutboxError('INVALID_PAYLOAD', what, { field, remedy: 'Give what the schema of the event asks for.' })
}

function stepsOf(issue: SchemaIssue | undefined): (string | number)[] {
  const keys = issue?.path?.map((step) => (typeof step === 'object' ? step.key : step)) ?? []
  return keys.map((key) => (typeof key === 'number' ? key : String(key)))
}

/**
 * Why, in words that come from the schema: code and expectation, as zod, valibot and arktype give them beside the message. Never the
 * message itself: valibot's repeats the value, and any may be written by the application.
 */
function reasonOf(issue: SchemaIssue | undefined): string {
  const { code, type, expected } = (issue ?? {}) as { code?: unknown; type?: unknown; expected?: unknown }
  const kind = typeof code === 'string' ? code : type
  const parts = [
    ...(typeof kind === 'string' ? [kind.replaceAll('_', ' ')] : []),
    ...(typeof expected === 'string' ? [`expected ${expected}`] : []),
  ]
  return parts.length > 0 ? parts.join(', ') : 'refused by the schema'
}
