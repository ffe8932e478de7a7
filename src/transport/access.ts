import type { KafkaConfig } from 'kafkajs'
import { OutboxError } from '../message/errors.ts'
import { checkSigner, type MskIamLogin, signedToken } from './msk-iam.ts'
import { type KafkaTls, liveTls } from './tls-files.ts'
import { discreet, reused } from './token.ts'
import { authenticator, type TokenLogin } from './token-login.ts'

/** TLS and login, as the options of both transports and of every command have them. */
export interface AccessOptions {
  ssl?: boolean | KafkaTls | undefined
  sasl?: KafkaConfig['sasl'] | PasswordLogin | TokenLogin | MskIamLogin | undefined
}

/** A login by name and password. */
export interface PasswordLogin {
  mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  username: string
  password: string
}

/** What kafkajs connects with. */
export type Access = Pick<KafkaConfig, 'ssl' | 'sasl'>

type KafkajsLogin = NonNullable<KafkaConfig['sasl']>

/**
 * TLS and login in the words of kafkajs, for all clients of one transport or command: certificates are read from their files for each
 * connection, and each login asks for a token.
 *
 * @throws OutboxError INVALID_OPTION; TRANSPORT_PACKAGE where the signer of AWS MSK is not installed.
 */
export function accessOf({ ssl, sasl }: AccessOptions): Access {
  return {
    ...(ssl ? { ssl: ssl === true ? true : liveTls(ssl) } : {}),
    ...(sasl ? { sasl: loginOf(sasl) } : {}),
  }
}

function loginOf(sasl: NonNullable<AccessOptions['sasl']>): KafkajsLogin {
  if (sasl.mechanism === 'aws-msk-iam') {
    const { region } = sasl as MskIamLogin
    if (!/^[a-z0-9-]+$/.test(region ?? ''))
      throw wrong('The login aws-msk-iam has no region.', 'Give sasl.region, for example eu-central-1.')
    checkSigner()
    return tokenLogin(reused(() => signedToken(region)))
  }
  if (sasl.mechanism !== 'oauthbearer' || 'authenticationProvider' in sasl) return sasl as KafkajsLogin
  const { oauthBearerProvider } = sasl as TokenLogin
  if (typeof oauthBearerProvider === 'function') return tokenLogin(oauthBearerProvider)
  throw wrong(
    'The login oauthbearer has no provider of tokens.',
    'Give sasl.oauthBearerProvider, a function that returns a promise of { value }.',
  )
}

/** For both clients: kafkajs calls the authenticator, the other one asks for the token itself. */
function tokenLogin(provide: TokenLogin['oauthBearerProvider']): KafkajsLogin & TokenLogin {
  const oauthBearerProvider = discreet(provide)
  return { mechanism: 'oauthbearer', oauthBearerProvider, authenticationProvider: authenticator(oauthBearerProvider) }
}

const wrong = (what: string, remedy: string): OutboxError => new OutboxError('INVALID_OPTION', what, { field: 'sasl', remedy })
