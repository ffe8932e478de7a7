import { exec } from 'node:child_process'
import { noToken, reused, type TimedToken, type Token } from '../transport/token.ts'

/** Where the command line gets tokens for SASL OAUTHBEARER. Nothing that a command or an endpoint says is told: it may be a token. */

/** Longest time for a token (ms). */
const limitMs = 10_000

/** The standard output of a shell command. A JWT is used until shortly before it ends, any other token once. */
export const commandToken = (command: string): (() => Promise<Token>) =>
  reused(
    () =>
      new Promise<TimedToken>((resolve, reject) => {
        exec(command, { timeout: limitMs, maxBuffer: 1_048_576, encoding: 'utf8', windowsHide: true }, (error, stdout) => {
          const value = stdout.trim()
          if (!error) return resolve({ value, expiresAtMs: endOfJwt(value) })
          const how = error.killed ? `was ended after ${limitMs} ms` : `ended with exit code ${error.code ?? error.signal}`
          reject(noToken(`The command of KAFKA_SASL_TOKEN_COMMAND ${how}.`))
        })
      }),
  )

/** An OAuth client that proves itself by its secret. */
export interface TokenClient {
  url: string
  clientId: string
  clientSecret: string
  scope: string | undefined
}

/** The token that an endpoint gives a client for its credentials (RFC 6749, section 4.4), as Kafka's own clients ask for it. */
export const urlToken = ({ url, clientId, clientSecret, scope }: TokenClient): (() => Promise<Token>) =>
  reused(async () => {
    const body = new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) })
    const login = Buffer.from([clientId, clientSecret].map(encodeURIComponent).join(':')).toString('base64')
    const askedMs = Date.now()
    const answer = await fetch(url, {
      method: 'POST',
      body,
      headers: { authorization: `Basic ${login}`, accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(limitMs),
    }).catch((error: { name: string; cause?: { code?: string } }) => {
      throw noToken(`The endpoint of KAFKA_SASL_TOKEN_URL does not answer (${error.cause?.code ?? error.name}).`)
    })
    const said = (await answer.json().catch(() => ({}))) as { access_token?: unknown; expires_in?: unknown; error?: unknown }
    if (!answer.ok || typeof said.access_token !== 'string') {
      const why = /^[a-z_]{1,40}$/.test(String(said.error)) ? ` (${said.error})` : ''
      throw noToken(`The endpoint of KAFKA_SASL_TOKEN_URL gave no token: HTTP ${answer.status}${why}.`)
    }
    const lifeMs = Number(said.expires_in) * 1_000
    return { value: said.access_token, expiresAtMs: lifeMs > 0 ? askedMs + lifeMs : undefined }
  })

/** When a JWT ends, as Unix time in ms; undefined: it does not say, or it is none. */
function endOfJwt(token: string): number | undefined {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { exp?: unknown }
    return typeof exp === 'number' ? exp * 1_000 : undefined
  } catch {
    return undefined
  }
}
