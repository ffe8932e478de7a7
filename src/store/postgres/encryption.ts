import pg from 'pg'
import { OutboxError } from '../../message/errors.ts'
import { isLoopback } from '../../running/loopback.ts'
import { connectionConfig } from './line.ts'

/** How a connection to the database is protected. */
export interface Encryption {
  /** It stays on this machine. */
  local: boolean
  tls: boolean
  /** The certificate is checked: with TLS alone somebody in between can answer in the place of the database. */
  verified: boolean
}

/** What a database URL, with the environment that `pg` reads, asks for. */
export function encryptionOf(databaseUrl: string): Encryption {
  const client = new pg.Client(connectionConfig(databaseUrl))
  const ssl = (client as unknown as { ssl: boolean | { rejectUnauthorized?: boolean } }).ssl
  const verified = typeof ssl === 'object' ? ssl.rejectUnauthorized !== false : ssl
  return { local: isLoopback(client.host) || client.host.startsWith('/'), tls: Boolean(ssl), verified }
}

/** Words of `sslmode` that mean one thing to `pg`. */
const modes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify']

/** Parameters that would be passed over: anyone who wrote them believes that they protect the connection. */
export function refuseUnknownTls(url: URL, name: string): void {
  const refuse = (parameter: string, remedy: string) => {
    throw new OutboxError('DATABASE_REFUSED', `${name} has a parameter ${parameter} that this program cannot follow.`, {
      field: name,
      remedy,
    })
  }
  const { searchParams: given } = url
  const [mode, accept] = [given.get('sslmode'), given.get('sslaccept')]
  if (mode !== null && !modes.includes(mode)) refuse('sslmode', `Use one of ${modes.join(', ')}.`)
  if (accept !== null && accept !== 'strict' && accept !== 'accept_invalid_certs') {
    refuse('sslaccept', 'Use strict or accept_invalid_certs, or sslmode=verify-full.')
  }
  if (accept === 'strict' && (mode === 'disable' || mode === 'no-verify'))
    refuse('sslaccept', `Leave out sslmode=${mode}, which contradicts sslaccept=strict.`)
  for (const prismaOnly of ['sslidentity', 'sslpassword']) {
    if (given.has(prismaOnly)) refuse(prismaOnly, 'Give certificate and key as PEM files: sslcert and sslkey.')
  }
}
