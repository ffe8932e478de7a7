import { readFileSync } from 'node:fs'
import { type ConnectionOptions, createSecureContext, type SecureContext } from 'node:tls'
import { OutboxError } from '../message/errors.ts'

/**
 * Certificates of a Kafka login that live in files. Both Kafka clients copy their TLS options for each connection that they open, and so read
 * the getter that {@link liveTls} puts in: a certificate that was renewed on disk is used by the next connection.
 */

/** Files in PEM, read again for each new connection. */
export interface TlsFiles {
  /** Authorities that may sign the certificates of brokers, instead of those that Node knows. */
  caFile?: string | undefined
  /** Certificate of this client, with those that lead to its authority. */
  certFile?: string | undefined
  /** Private key of `certFile`; `passphrase` opens an encrypted one. */
  keyFile?: string | undefined
}

/** Options of `tls.connect`, and files in the place of `ca`, `cert` and `key`. */
export type KafkaTls = ConnectionOptions & TlsFiles

/** Option, option of Node, words, and what Node needs to find: it passes over a file that has nothing of the kind. */
const files = [
  ['caFile', 'ca', 'The authority (KAFKA_SSL_CA, ssl.caFile)', 'CERTIFICATE-----'],
  ['certFile', 'cert', 'The client certificate (KAFKA_SSL_CERT, ssl.certFile)', 'CERTIFICATE-----'],
  ['keyFile', 'key', 'The key of the client certificate (KAFKA_SSL_KEY, ssl.keyFile)', 'PRIVATE KEY-----'],
] as const

type Contents = Partial<Record<(typeof files)[number][1], string>>

/**
 * TLS options in which `secureContext` is made of the files as they are when a connection begins. If files that are being replaced cannot be
 * used, the last ones that could are, and the process warns once.
 *
 * @throws OutboxError INVALID_OPTION if the files cannot be used now, or an option is given twice or by half.
 */
export function liveTls(ssl: KafkaTls): ConnectionOptions {
  const { caFile, certFile, keyFile, ...options } = ssl
  if (caFile === undefined && certFile === undefined && keyFile === undefined) return ssl
  checkTogether(ssl)
  let contents = read(ssl)
  let context = contextOf(options, contents)
  let warned = ''
  const current = (): SecureContext => {
    try {
      const now = read(ssl)
      if (files.some(([, name]) => now[name] !== contents[name])) {
        context = contextOf(options, now)
        contents = now
      }
      warned = ''
    } catch (error) {
      const { message } = error as Error
      if (warned !== message)
        process.emitWarning(`${message} The files as they were before are used.`, { code: 'OUTBOX_KAFKA_TLS' })
      warned = message
    }
    return context
  }
  return Object.defineProperty({ ...options }, 'secureContext', { enumerable: true, get: current })
}

function checkTogether(ssl: KafkaTls): void {
  const twice = files.find(
    ([file, name]) => ssl[file] !== undefined && (ssl[name] !== undefined || ssl.secureContext !== undefined),
  )
  if (twice) throw refused(twice[0], `${twice[2]} is given twice: as a file and as a value.`, 'Give one of them.')
  if ((ssl.certFile === undefined) === (ssl.keyFile === undefined)) return
  const [missing, other] = ssl.certFile === undefined ? [files[1], files[2]] : [files[2], files[1]]
  throw refused(missing[0], `${missing[2]} is missing.`, `${other[2]} needs it.`)
}

function read(ssl: TlsFiles): Contents {
  const contents: Contents = {}
  const remedy = 'Name a file in PEM that this process may read.'
  for (const [file, name, what, mark] of files) {
    const path = ssl[file]
    if (path === undefined) continue
    try {
      contents[name] = readFileSync(path, 'utf8')
    } catch (error) {
      throw refused(file, `${what} cannot be read (${(error as NodeJS.ErrnoException).code}).`, remedy)
    }
    if (!contents[name].includes(mark)) throw refused(file, `${what} holds nothing of the kind in PEM.`, remedy)
  }
  return contents
}

function contextOf(options: ConnectionOptions, contents: Contents): SecureContext {
  try {
    return createSecureContext({ ...options, ...contents })
  } catch (error) {
    const remedy =
      'The key must be that of the certificate, both in PEM; KAFKA_SSL_KEY_PASSPHRASE (ssl.passphrase) opens an encrypted key.'
    throw refused('certFile', `The files of TLS to Kafka cannot be used (${(error as NodeJS.ErrnoException).code}).`, remedy)
  }
}

const refused = (file: keyof TlsFiles, what: string, remedy: string): OutboxError =>
  new OutboxError('INVALID_OPTION', what, { field: `ssl.${file}`, remedy })
