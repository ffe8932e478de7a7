import type { KafkaConfig } from 'kafkajs'
import type { Certificates } from './certificates.ts'
import { type KafkaServer, startKafka } from './kafka.ts'

/** The only user of the broker: it may do everything. */
export const kafkaUser = { username: 'relay', password: 'hunter2-of-kafka' }

/** A broker that is reached over TLS, and asks for a login. */
export interface TlsKafka extends KafkaServer {
  /** Brokers, authority and login, for the tests' own clients. */
  access: Required<Pick<KafkaConfig, 'ssl' | 'sasl'>> & { brokers: string[] }
}

/** Length of a session by token: kafkajs logs in again ten seconds before its end, and a broker allows it once a second (ms). */
export const sessionMs = 11_500

/** A token that Kafka's validator of unsigned tokens takes; `lifeMs`: how long from now on. */
export function unsignedToken(lifeMs: number, principal = 'relay'): string {
  const seconds = Date.now() / 1_000
  const parts = [{ alg: 'none' }, { sub: principal, iat: seconds - 60, exp: seconds + lifeMs / 1_000 }]
  return `${parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`
}

/** A client certificate is asked for by a listener of this kind. */
const sslStores = ({ caFile, chainFile }: Certificates) => ({
  'ssl.keystore.type': 'PEM',
  'ssl.keystore.location': chainFile,
  'ssl.truststore.type': 'PEM',
  'ssl.truststore.location': caFile,
})

/** Starts Apache Kafka with one listener under the name localhost that wants a client certificate of the authority. */
export function startMutualTlsKafka(keys: Certificates): Promise<KafkaServer> {
  const settings = {
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:SSL',
    'ssl.client.auth': 'required',
    ...sslStores(keys),
  }
  return startKafka(settings, { host: 'localhost' })
}

/**
 * Starts Apache Kafka with one listener: SASL_SSL, under the name localhost, with PLAIN, both kinds of SCRAM, and OAUTHBEARER with unsigned
 * tokens, whose sessions it ends after {@link sessionMs}.
 */
export async function startTlsKafka(keys: Certificates): Promise<TlsKafka> {
  const { username, password } = kafkaUser
  const security = 'org.apache.kafka.common.security'
  const own = `username="${username}" password="${password}" user_${username}="${password}"`
  const listener = 'listener.name.plaintext'
  const settings = {
    // The name of the listener; what it speaks comes after the colon.
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_SSL',
    ...sslStores(keys),
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    [`${listener}.plain.sasl.jaas.config`]: `${security}.plain.PlainLoginModule required ${own};`,
    [`${listener}.oauthbearer.sasl.jaas.config`]: `${security}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="${username}";`,
    [`${listener}.oauthbearer.connections.max.reauth.ms`]: sessionMs,
    [`${listener}.scram-sha-256.sasl.jaas.config`]: `${security}.scram.ScramLoginModule required;`,
    [`${listener}.scram-sha-512.sasl.jaas.config`]: `${security}.scram.ScramLoginModule required;`,
  }
  const scram = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((name) => [
    '--add-scram',
    `${name}=[name=${username},password=${password}]`,
  ])
  const server = await startKafka(settings, { host: 'localhost', format: scram })
  const sasl = { mechanism: 'plain' as const, ...kafkaUser }
  return { ...server, access: { brokers: [server.brokers], ssl: { ca: keys.ca }, sasl } }
}
