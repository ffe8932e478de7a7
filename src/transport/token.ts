import { TransportError } from './transport.ts'

/** Tokens of SASL OAUTHBEARER: where they come from, how long one is used, and what is told if none comes. */

/** A token, as kafkajs takes it. */
export interface Token {
  value: string
  /** SASL extensions, for brokers that ask for some. */
  extensions?: Record<string, string>
}

/** A token, and when it ends. */
export interface TimedToken extends Token {
  /** Unix time in ms. Undefined: the token is not kept. */
  expiresAtMs?: number | undefined
}

/** kafkajs logs in again ten seconds before the end: by then the next token must be there. */
const marginMs = 15_000

/** No token came; the relay tries again. */
export const noToken = (why: string): TransportError => new TransportError('TOKEN_UNAVAILABLE', 'producer', why)

/** The same provider, of which nothing is told but the name of its error: the words of an error may hold a secret. */
export function discreet(provide: () => Promise<Token>): () => Promise<Token> {
  return async () => {
    let token: Token | undefined
    try {
      token = await provide()
    } catch (error) {
      if (error instanceof TransportError) throw error
      throw noToken(`The provider of Kafka tokens failed (${error instanceof Error ? error.name : 'no Error'}).`)
    }
    // What could end the header of the token would be a login of another's making.
    if (!/^[-\w~+/.]+=*$/.test(String(token?.value ?? ''))) throw noToken('The provider of Kafka tokens returned no token.')
    return token
  }
}

/** The same source, asked once for all who ask meanwhile, and again before a token ends. */
export function reused(fetch: () => Promise<TimedToken>, now: () => number = Date.now): () => Promise<Token> {
  let kept: { token: Token; untilMs: number } | undefined
  let underway: Promise<Token> | undefined
  const renewed = async () => {
    const from = now()
    const { expiresAtMs, ...token } = await fetch()
    const lifeMs = (expiresAtMs ?? from) - from
    kept = { token, untilMs: from + Math.min(lifeMs * 0.8, lifeMs - marginMs) }
    return token
  }
  return () => {
    if (kept && now() < kept.untilMs) return Promise.resolve(kept.token)
    underway ??= renewed().finally(() => {
      underway = undefined
    })
    return underway
  }
}
