import { isIPv6 } from 'node:net'
import { OutboxError } from '../message/errors.ts'
import { isLoopback } from '../running/loopback.ts'

/** What decides whether a login travels in clear text. */
export interface Login {
  brokers: readonly string[]
  ssl?: unknown
  sasl?: { mechanism: string } | object | undefined
  saslInsecure?: boolean | undefined
}

/** A broker's address taken apart: of an IPv6 address without its brackets. */
export function hostAndPort(broker: string): { host: string; port: number } {
  const colon = broker.lastIndexOf(':')
  return { host: broker.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(broker.slice(colon + 1)) }
}

/** A host and its port as one text, an IPv6 address in brackets. */
export const addressOf = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)

/** The brokers that are not on this machine. */
export const remoteBrokers = (brokers: readonly string[]): string[] =>
  brokers.filter((broker) => !isLoopback(hostAndPort(broker).host))

/** Mechanisms that send the secret itself. SCRAM proves that it knows it. */
const telling = /^(plain|oauthbearer|aws|aws-msk-iam)$/i

/** Whether everybody on the way to a broker can read the secret of the login. */
export function tellsSecret({ brokers, ssl, sasl }: Login): boolean {
  const mechanism = sasl && 'mechanism' in sasl ? String(sasl.mechanism) : ''
  return !ssl && telling.test(mechanism) && remoteBrokers(brokers).length > 0
}

/** Refuses a login whose secret would be sent in clear text, unless `saslInsecure` allows it. Throws OUTBOX_INVALID_OPTION. */
export function checkLogin(login: Login): void {
  if (!tellsSecret(login) || login.saslInsecure) return
  throw new OutboxError(
    'INVALID_OPTION',
    'The login would be sent to Kafka in clear text: this mechanism sends its secret, and TLS is off.',
    {
      field: 'sasl',
      remedy:
        'Set KAFKA_SSL=true (ssl), use scram-sha-512, or allow it in a network that nobody else reads: KAFKA_SASL_INSECURE=true (saslInsecure).',
    },
  )
}

/** Refuses brokers that are no addresses. Throws OUTBOX_INVALID_OPTION. */
export function checkBrokers(brokers: readonly string[]): void {
  const broken = brokers.find((broker) => !isAddress(broker))
  if (brokers.length > 0 && broken === undefined) return
  const what = broken === undefined ? 'No Kafka broker is given.' : `"${broken}" is not the address of a Kafka broker.`
  const remedy = 'Give at least one as "host:port", an IPv6 address in brackets: "[::1]:9092".'
  throw new OutboxError('INVALID_OPTION', what, { field: 'brokers', remedy })
}

/** `host:port`, or `[address]:port` for IPv6. */
export function isAddress(broker: string): boolean {
  const bracketed = /^\[([^\]]*)\]:\d+$/.exec(broker)?.[1]
  return bracketed === undefined ? /^[^\s:@/[\]]+:\d+$/.test(broker) : isIPv6(bracketed)
}
