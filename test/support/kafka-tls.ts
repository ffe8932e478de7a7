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

/** Starts Apache Kafka with one listener: SASL_SSL, under the name localhost, with PLAIN and both kinds of SCRAM. */
export async function startTlsKafka({ ca, caFile, chainFile }: Certificates): Promise<TlsKafka> {
  const { username, password } = kafkaUser
  const security = 'org.apache.kafka.common.security'
  const own = `username="${username}" password="${password}" user_${username}="${password}"`
  const listener = 'listener.name.plaintext'
  const settings = {
    // The name of the listener; what it speaks comes after the colon.
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_SSL',
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': chainFile,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': caFile,
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    [`${listener}.plain.sasl.jaas.config`]: `${security}.plain.PlainLoginModule required ${own};`,
    [`${listener}.scram-sha-256.sasl.jaas.config`]: `${security}.scram.ScramLoginModule required;`,
    [`${listener}.scram-sha-512.sasl.jaas.config`]: `${security}.scram.ScramLoginModule required;`,
  }
  const scram = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((name) => [
    '--add-scram',
    `${name}=[name=${username},password=${password}]`,
  ])
  const server = await startKafka(settings, { host: 'localhost', format: scram })
  const sasl = { mechanism: 'plain' as const, ...kafkaUser }
  return { ...server, access: { brokers: [server.brokers], ssl: { ca }, sasl } }
}
