import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Keys of a server that calls itself localhost, and of the authority that says so. */
export interface Certificates {
  /** The authority's certificate, in PEM, and the file of it. */
  ca: string
  caFile: string
  /** Certificate of the server, its key, and both in one file: PEM. */
  certFile: string
  keyFile: string
  chainFile: string
  /** Certificate of a client that the authority knows, and its key: PEM. */
  client: { certFile: string; keyFile: string }
  /** Removes the files. */
  remove(): Promise<void>
}

/** Makes an authority of its own and a server's certificate for the name localhost, and for no address. */
export async function makeCertificates(): Promise<Certificates> {
  const dir = await mkdtemp(join(tmpdir(), 'outbox-tls-'))
  // A server of another user reads them.
  await chmod(dir, 0o755)
  const file = (name: string) => join(dir, name)
  const made = (name: string, subject: string, ...more: string[]) =>
    run('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-noenc', '-days', '2', '-subj', `/CN=${subject}`],
      ...['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`), ...more],
    ])
  await made('ca', 'An authority of the tests', '-addext', 'keyUsage=critical,keyCertSign')
  const signed = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-addext', 'basicConstraints=critical,CA:FALSE']
  await made('server', 'server', ...signed, '-addext', 'subjectAltName=DNS:localhost')
  await made('client', 'a client of the tests', ...signed)
  const ca = await readFile(file('ca.pem'), 'utf8')
  const parts = await Promise.all(['server.key', 'server.pem', 'ca.pem'].map((name) => readFile(file(name), 'utf8')))
  await writeFile(file('chain.pem'), parts.join(''))
  return {
    ca,
    caFile: file('ca.pem'),
    certFile: file('server.pem'),
    keyFile: file('server.key'),
    chainFile: file('chain.pem'),
    client: { certFile: file('client.pem'), keyFile: file('client.key') },
    remove: () => rm(dir, { recursive: true, force: true }),
  }
}
