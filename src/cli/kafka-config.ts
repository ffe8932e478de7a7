import type { KafkajsTransportOptions } from '../transport/kafkajs/kafkajs.ts'
import type { KafkaTls } from '../transport/tls-files.ts'
import { type Environment, type Flags, type Given, given } from './given.ts'
import type { SettingName, SettingValue } from './settings.ts'
import { commandToken, urlToken } from './tokens.ts'

type Mechanism = SettingValue<'kafkaSaslMechanism'>

/** The settings that each mechanism takes; with another one they are refused. */
const partsOf = {
  plain: ['kafkaSaslUsername', 'kafkaSaslPassword'],
  'scram-sha-256': ['kafkaSaslUsername', 'kafkaSaslPassword'],
  'scram-sha-512': ['kafkaSaslUsername', 'kafkaSaslPassword'],
  oauthbearer: ['kafkaSaslTokenCommand', 'kafkaSaslTokenUrl', 'kafkaSaslScope', 'kafkaSaslUsername', 'kafkaSaslPassword'],
  'aws-msk-iam': ['kafkaSaslRegion'],
} as const satisfies Record<Mechanism, readonly SettingName[]>

/** Every setting that belongs to some mechanism. */
const parts = [...new Set(Object.values(partsOf).flat())]

/** Where Kafka is, with TLS and login. Reads no certificate, and asks for no token. Throws INVALID_OPTION. */
export function kafkaConfigOf(flags: Flags, env: Environment): KafkajsTransportOptions {
  const settings = given(flags, env)
  const { read, need } = settings
  const [brokers, clientId, ssl, sasl] = [
    need('kafkaBrokers'),
    read('kafkaClientId'),
    tlsConfig(settings),
    saslConfig(settings, env),
  ]
  return {
    brokers,
    ...(clientId === undefined ? {} : { clientId }),
    ...(ssl ? { ssl } : {}),
    ...(read('kafkaSaslInsecure') ? { saslInsecure: true } : {}),
    ...(sasl === undefined ? {} : { sasl }),
  }
}

/** Certificates turn TLS on; next to a TLS that is turned off they are refused, and so is half of a pair. */
function tlsConfig({ read, refuse }: Given): boolean | KafkaTls {
  const on = read('kafkaSsl')
  const [caFile, certFile, keyFile] = [read('kafkaSslCa'), read('kafkaSslCert'), read('kafkaSslKey')]
  const passphrase = read('kafkaSslKeyPassphrase')
  if (keyFile !== undefined && certFile === undefined) throw refuse('kafkaSslCert', 'is missing: a key needs its certificate')
  if (certFile !== undefined && keyFile === undefined) throw refuse('kafkaSslKey', 'is missing: a certificate needs its key')
  if (passphrase !== undefined && keyFile === undefined) throw refuse('kafkaSslKey', 'is missing: a passphrase is for a key')
  if (caFile === undefined && certFile === undefined) return on ?? false
  if (on === false)
    throw refuse('kafkaSsl', 'is false, and certificates for TLS are given', 'Set it to true, or remove the certificates.')
  return {
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile, keyFile }),
    ...(passphrase === undefined ? {} : { passphrase }),
  }
}

function saslConfig(settings: Given, env: Environment): KafkajsTransportOptions['sasl'] {
  const { read, need, refuse } = settings
  const present = parts.filter((name) => read(name) !== undefined)
  if (read('kafkaSaslMechanism') === undefined && present.length === 0) return undefined
  const mechanism = need('kafkaSaslMechanism')
  const own: readonly SettingName[] = partsOf[mechanism]
  const foreign = present.find((name) => !own.includes(name))
  if (foreign !== undefined) throw refuse(foreign, `is given, and the mechanism ${mechanism} does not take it`, 'Remove it.')
  if (mechanism === 'oauthbearer') return { mechanism, oauthBearerProvider: tokenConfig(settings) }
  if (mechanism === 'aws-msk-iam') {
    const region = read('kafkaSaslRegion') ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION)
    if (!region) throw refuse('kafkaSaslRegion', 'is missing, and so is AWS_REGION')
    return { mechanism, region }
  }
  return { mechanism, username: need('kafkaSaslUsername'), password: need('kafkaSaslPassword') }
}

/** Where tokens come from: a command, or a URL with the credentials of a client. */
function tokenConfig({ read, need, refuse }: Given): ReturnType<typeof commandToken> {
  const [command, url] = [read('kafkaSaslTokenCommand'), read('kafkaSaslTokenUrl')]
  if (url === undefined) {
    const ofUrl = ['kafkaSaslUsername', 'kafkaSaslPassword', 'kafkaSaslScope'] as const
    const foreign = ofUrl.find((name) => read(name) !== undefined)
    if (command === undefined) throw refuse('kafkaSaslTokenCommand', 'is missing, and so is KAFKA_SASL_TOKEN_URL')
    if (foreign !== undefined) throw refuse(foreign, 'is given, and a token command does not take it', 'Remove it.')
    return commandToken(command)
  }
  if (command !== undefined)
    throw refuse('kafkaSaslTokenUrl', 'is given, and KAFKA_SASL_TOKEN_COMMAND is given too', 'Remove one of them.')
  return urlToken({
    url,
    clientId: need('kafkaSaslUsername'),
    clientSecret: need('kafkaSaslPassword'),
    scope: read('kafkaSaslScope'),
  })
}
