import { isLoopback } from '../running/loopback.ts'
import type { KafkajsTransportOptions } from '../transport/kafkajs/kafkajs.ts'
import type { KafkaTls } from '../transport/tls-files.ts'
import { type Environment, type Flags, given, isSet, required, wrong } from './given.ts'
import { kafkaSettings, type Setting } from './settings.ts'
import { commandToken, urlToken } from './tokens.ts'

type Name = keyof typeof kafkaSettings

/** The settings that each mechanism takes; with another one they are refused. */
const partsOf = {
  plain: ['kafkaSaslUsername', 'kafkaSaslPassword'],
  'scram-sha-256': ['kafkaSaslUsername', 'kafkaSaslPassword'],
  'scram-sha-512': ['kafkaSaslUsername', 'kafkaSaslPassword'],
  oauthbearer: ['kafkaSaslTokenCommand', 'kafkaSaslTokenUrl', 'kafkaSaslScope', 'kafkaSaslUsername', 'kafkaSaslPassword'],
  'aws-msk-iam': ['kafkaSaslRegion'],
} as const satisfies Record<string, readonly Name[]>

/** Every setting that belongs to some mechanism. */
const parts = [...new Set(Object.values(partsOf).flat())]

type Read = (name: Name) => string | undefined

/** Where Kafka is, with TLS and login. Reads no certificate, and asks for no token. Throws INVALID_OPTION. */
export function kafkaConfigOf(flags: Flags, env: Environment): KafkajsTransportOptions {
  const read: Read = (name) => given(name, kafkaSettings[name], flags, env)
  const brokers = required('kafkaBrokers', kafkaSettings.kafkaBrokers, flags, env)
  const list = brokers.split(',').map((broker) => broker.trim())
  // The transport would quote it: a URL that was taken for it has a password in it.
  if (!list.every((broker) => /^[^\s:@/]+:\d+$/.test(broker))) {
    throw wrong(kafkaSettings.kafkaBrokers, 'must be a list of host:port, separated by commas')
  }
  const clientId = read('kafkaClientId')
  const ssl = tlsConfig(isSet('kafkaSsl', kafkaSettings.kafkaSsl, flags, env), read)
  const sasl = saslConfig(read, env)
  return {
    brokers: list,
    ...(clientId === undefined ? {} : { clientId }),
    ...(ssl ? { ssl } : {}),
    ...(isSet('kafkaSaslInsecure', kafkaSettings.kafkaSaslInsecure, flags, env) ? { saslInsecure: true } : {}),
    ...(sasl === undefined ? {} : { sasl }),
  }
}

/** Certificates turn TLS on; next to a TLS that is turned off they are refused, and so is half of a pair. */
function tlsConfig(on: boolean | undefined, read: Read): boolean | KafkaTls {
  const [caFile, certFile, keyFile, passphrase] = [
    read('kafkaSslCa'),
    read('kafkaSslCert'),
    read('kafkaSslKey'),
    read('kafkaSslKeyPassphrase'),
  ]
  if (keyFile !== undefined && certFile === undefined)
    throw wrong(kafkaSettings.kafkaSslCert, 'is missing: a key needs its certificate')
  if (certFile !== undefined && keyFile === undefined)
    throw wrong(kafkaSettings.kafkaSslKey, 'is missing: a certificate needs its key')
  if (passphrase !== undefined && keyFile === undefined)
    throw wrong(kafkaSettings.kafkaSslKey, 'is missing: a passphrase is for a key')
  if (caFile === undefined && certFile === undefined) return on ?? false
  if (on === false) throw wrong(kafkaSettings.kafkaSsl, 'is false, and certificates for TLS are given')
  return {
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile, keyFile }),
    ...(passphrase === undefined ? {} : { passphrase }),
  }
}

function saslConfig(read: Read, env: Environment): KafkajsTransportOptions['sasl'] {
  const mechanism = read('kafkaSaslMechanism')
  const present = parts.filter((name) => read(name) !== undefined)
  if (mechanism === undefined && present.length === 0) return undefined
  if (mechanism === undefined || !Object.hasOwn(partsOf, mechanism)) {
    throw wrong(kafkaSettings.kafkaSaslMechanism, `must be one of ${Object.keys(partsOf).join(', ')}`)
  }
  const own: readonly Name[] = partsOf[mechanism as keyof typeof partsOf]
  const foreign = present.find((name) => !own.includes(name))
  if (foreign !== undefined) throw wrong(kafkaSettings[foreign], `is given, and the mechanism ${mechanism} does not take it`)
  if (mechanism === 'oauthbearer') return { mechanism, oauthBearerProvider: tokenConfig(read) }
  if (mechanism === 'aws-msk-iam') {
    const region = read('kafkaSaslRegion') ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION)
    if (!region) throw wrong(kafkaSettings.kafkaSaslRegion, 'is missing, and so is AWS_REGION')
    return { mechanism, region }
  }
  const [username, password] = [needed('kafkaSaslUsername', read), needed('kafkaSaslPassword', read)]
  return { mechanism: mechanism as 'plain' | 'scram-sha-256' | 'scram-sha-512', username, password }
}

/** Where tokens come from: a command, or a URL with the credentials of a client. */
function tokenConfig(read: Read): ReturnType<typeof commandToken> {
  const [command, url] = [read('kafkaSaslTokenCommand'), read('kafkaSaslTokenUrl')]
  if (url === undefined) {
    const foreign = (['kafkaSaslUsername', 'kafkaSaslPassword', 'kafkaSaslScope'] as const).find(
      (name) => read(name) !== undefined,
    )
    if (command === undefined) throw wrong(kafkaSettings.kafkaSaslTokenCommand, 'is missing, and so is KAFKA_SASL_TOKEN_URL')
    if (foreign !== undefined) throw wrong(kafkaSettings[foreign], 'is given, and a token command does not take it')
    return commandToken(command)
  }
  if (command !== undefined) throw wrong(kafkaSettings.kafkaSaslTokenUrl, 'is given, and KAFKA_SASL_TOKEN_COMMAND is given too')
  const parsed = safeUrl(url)
  if (parsed === undefined) {
    throw wrong(kafkaSettings.kafkaSaslTokenUrl, 'must be an https:// URL without a login; http:// on this machine only')
  }
  return urlToken({
    url: parsed.href,
    clientId: needed('kafkaSaslUsername', read),
    clientSecret: needed('kafkaSaslPassword', read),
    scope: read('kafkaSaslScope'),
  })
}

/** The URL, if nobody on the way can read the client's secret, and it holds no secret itself. */
function safeUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const local = url.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[(.*)\]$/, '$1'))
  return url.username === '' && url.password === '' && (url.protocol === 'https:' || local) ? url : undefined
}

function needed(name: Name, read: Read): string {
  const value = read(name)
  if (value === undefined) throw wrong(kafkaSettings[name] as Setting, 'is missing')
  return value
}
