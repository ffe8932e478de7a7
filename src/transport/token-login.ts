import type { AuthenticationProviderArgs, Authenticator } from 'kafkajs'
import type { Token } from './token.ts'
import { TransportError } from './transport.ts'

/** SASL OAUTHBEARER (RFC 7628) as kafkajs does not do it: it takes the refusal of a token for a login. */

/** A login by a token, which is asked for at each login. */
export interface TokenLogin {
  mechanism: 'oauthbearer'
  oauthBearerProvider: () => Promise<Token>
}

const separator = '\u0001'

/** What kafkajs calls for each login. */
export const authenticator =
  (provide: () => Promise<Token>) =>
  ({ saslAuthenticate }: AuthenticationProviderArgs): Authenticator => ({
    async authenticate() {
      const { value, extensions = {} } = await provide()
      const pairs = Object.entries({ auth: `Bearer ${value}`, ...extensions }).map(
        ([name, text]) => `${separator}${name}=${text}`,
      )
      const hello = Buffer.from(`n,,${pairs.join('')}${separator}${separator}`)
      await saslAuthenticate({
        request: { encode: () => sized(hello) },
        response: { decode: (answer) => answer.subarray(4), parse: check },
      })
    },
  })

/** With its length in front, as kafkajs' own mechanisms give and get bytes. */
function sized(bytes: Buffer): Buffer {
  const size = Buffer.alloc(4)
  size.writeInt32BE(bytes.length)
  return Buffer.concat([size, bytes])
}

function check(answer: Buffer): void {
  const error = refusalOf(answer)
  if (error) throw error
}

/** A broker accepts a token by an empty answer, and refuses it by one that says why. */
export function refusalOf(answer: Uint8Array | null): TransportError | undefined {
  if (!answer?.length) return undefined
  const [, status = ''] = /"status":\s*"([a-z_]{1,40})"/.exec(String(Buffer.from(answer))) ?? []
  return new TransportError('SASL_AUTHENTICATION_FAILED', 'producer', `The broker refused the token${status && ` (${status})`}.`)
}
