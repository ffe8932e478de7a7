import { advertisedIn } from '../advertised.ts'
import { blamesCertificate, meanings, topicFaults } from '../kafka-codes.ts'
import { type Outcome, TransportError } from '../transport.ts'

/** An error of @platformatic/kafka, unwrapped. */
export interface PlatformaticTrouble {
  /** Kafka's name (`MESSAGE_TOO_LARGE`), the system's (`ECONNREFUSED`), or that of the client. */
  code: string
  /** Says it in words, without data of a record. */
  error: string
  /** Whether it is the answer to a produce request. */
  answer: boolean
  /** Indexes of records that the broker names. */
  refused: number[]
}

/** As much of the client's errors as is looked at; they all have the name "Error". */
interface ClientError {
  message: string
  code?: unknown
  apiId?: unknown
  path?: unknown
  cause?: unknown
  errors?: unknown
  response?: ProduceResponse
}

interface ProduceResponse {
  responses?: { partitionResponses?: { recordErrors?: { batchIndex: number }[] }[] }[]
}

/**
 * What stands behind an error of the client: a tree of `errors` and `cause`, in which an answer of a broker has an `apiId`. For each
 * record that a broker names there is an UNKNOWN_SERVER_ERROR of the client's making in front of the real one.
 */
export function platformaticTrouble(error: unknown): PlatformaticTrouble {
  if (error instanceof TransportError) return { code: error.code, error: error.message, answer: false, refused: [] }
  const all = [...flat(error, 0)]
  const protocol = all.find(({ apiId, path }) => typeof apiId === 'string' && !String(path).includes('record_errors'))
  if (protocol) {
    const answer = String(protocol.path).startsWith('/responses/')
    return { code: String(protocol.apiId), error: protocol.message, answer, refused: answer ? refusedOf(all) : [] }
  }
  const unknownTopic = all.find(({ message }) => /^Unknown topic /.test(message))
  if (unknownTopic) return { code: 'UNKNOWN_TOPIC_OR_PARTITION', error: unknownTopic.message, answer: false, refused: [] }
  const login = all.find(({ code }) => code === 'TOKEN_UNAVAILABLE')
  if (login) return { code: 'TOKEN_UNAVAILABLE', error: login.message, answer: false, refused: [] }
  // What Node says of TLS names broker and certificate, and nothing of ours; the client says only that it came to no broker.
  const tls = all.find(({ code }) => typeof code === 'string' && (code.startsWith('ERR_SSL_') || blamesCertificate(code)))
  if (tls) return { code: String(tls.code), error: tls.message, answer: false, refused: [] }
  const system = all.find(({ code }) => typeof code === 'string' && /^E[A-Z]/.test(code) && !code.startsWith('ERR_'))
  const found = system ?? all.at(-1)
  const own = all.find(({ code }) => typeof code === 'string' && code.startsWith('PLT_KFK_'))
  const code = codeOf(system, all)
  const advertised = all.find(({ message }) => advertisedIn(message) !== undefined)
  // Errors that are not the client's own may quote the value that they refuse.
  const words = (advertised ?? own)?.message ?? `${(found as { name?: string } | undefined)?.name ?? 'Error'} in the Kafka client`
  return { code, error: words, answer: false, refused: [] }
}

function codeOf(system: ClientError | undefined, all: ClientError[]): string {
  if (system) return String(system.code)
  const codes = all.map(({ code }) => String(code))
  // Of a fuse that has blown.
  if (codes.includes('TIMEOUT')) return 'TIMEOUT'
  if (codes.includes('PLT_KFK_AUTHENTICATION')) return 'SASL_AUTHENTICATION_FAILED'
  if (codes.includes('PLT_KFK_TIMEOUT')) return 'TIMEOUT'
  return codes.find((code) => code.startsWith('PLT_KFK_')) ?? 'Error'
}

function* flat(error: unknown, depth: number): Generator<ClientError> {
  if (!(error instanceof Error) || depth > 10) return
  const { errors, cause } = error as ClientError
  yield error as ClientError
  for (const one of Array.isArray(errors) ? errors : []) yield* flat(one, depth + 1)
  yield* flat(cause, depth + 1)
}

function refusedOf(all: ClientError[]): number[] {
  const responses = all.flatMap(({ response }) => response?.responses ?? [])
  const partitions = responses.flatMap(({ partitionResponses = [] }) => partitionResponses)
  return partitions.flatMap(({ recordErrors = [] }) => recordErrors.map(({ batchIndex }) => batchIndex))
}

/** Whether a broker that was asked about one topic blames that topic. */
export const blamesTopic = ({ code }: PlatformaticTrouble): boolean => topicFaults.has(code)

/**
 * What an error means for its batch. Before the batch was `sent`, every error proves "not written", and one about metadata is about this
 * topic alone: the client asks for one topic at a time. After that only the answer to the produce request proves anything.
 *
 * @example platformaticOutcome(MESSAGE_TOO_LARGE, true)  // { kind: 'not-written', scope: 'record', … }
 * @example platformaticOutcome('Connection closed', true)  // { kind: 'unknown', … }
 * @example platformaticOutcome(ECONNREFUSED, false)  // { kind: 'not-written', scope: 'producer', … }
 */
export function platformaticOutcome(trouble: PlatformaticTrouble, sent: boolean): Outcome {
  const { code, error, answer, refused } = trouble
  if (!sent) {
    return { kind: 'not-written', scope: blamesTopic(trouble) ? 'topic' : (meanings[code]?.scope ?? 'producer'), code, error }
  }
  const meaning = answer ? meanings[code] : undefined
  if (!meaning || meaning.source === 'login') return { kind: 'unknown', code, error }
  const named = meaning.scope === 'record' && refused.length > 0
  return { kind: 'not-written', scope: meaning.scope, code, error, ...(named ? { refused } : {}) }
}
