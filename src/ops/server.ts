import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { OutboxError } from '../message/errors.ts'
import { isLoopback } from '../running/loopback.ts'
import { Connections, networkOf, type Refusal } from './connections.ts'
import { type Login, Logins } from './logins.ts'

/**
 * The HTTP server of a relay: health, metrics and dashboard, to read only. `relay --listen` starts it (cli/watched.ts). It owns who is
 * answered: the login, the names that it may be asked for by, and, with connections.ts, that nobody keeps probes from their answer.
 */

/** What a page answers. */
export interface Answer {
  status: number
  /** Content type with its charset. */
  type: string
  body: string
}

/** A page of the server. */
export interface Page {
  /** Whether it may be read without the login: probes have none. To them it must tell nothing but states and codes. */
  open: boolean
  /**
   * It tells what messages are about. Where no login is set it is for people at this machine only: on loopback, and asked for by a name of
   * loopback, because another site's name can be made to lead here. @default false
   */
  secluded?: boolean
  /** `knows`: the request has the login, or there is none. */
  answer: (url: URL, knows: boolean) => Answer | Promise<Answer>
}

/** Where the server listens, and whom it answers. */
export interface ServerOptions {
  /** Address to listen on. */
  host: string
  /** 0 takes a free one. */
  port: number
  /** User and password that every page asks for which is not open; undefined: none does. */
  login?: Login | undefined
  /** Pages by their path. */
  pages: Readonly<Record<string, Page>>
  /** Is told why a connection was closed before its end, or a login refused, and the address that it came from. */
  refused?: ((reason: Refusal, address: string) => void) | undefined
}

/** The options, and what the server remembers of logins. */
type Serves = ServerOptions & { logins: Logins | undefined; refused: (reason: Refusal, address: string) => void }

/** A server that listens. */
export interface Serving {
  /** Address with the port that was taken: `http://127.0.0.1:9464`. */
  url: string
  /** Closes it at once, with whatever is open. Idempotent. */
  close(): void
}

/** Requests name a path only. */
const base = 'http://relay'

/** Milliseconds in which a page answers, or 503 does in its place. */
const answerMs = 5_000

/**
 * Serves pages over HTTP, to read only. Never keeps the process alive.
 *
 * @throws OutboxError INVALID_OPTION when the address cannot be listened on.
 */
export async function serve(options: ServerOptions): Promise<Serving> {
  const { login, refused = () => {} } = options
  const serves: Serves = { ...options, refused, logins: login && new Logins(login) }
  const server = createServer((request, response) => void answer(serves, request, response))
  const connections = new Connections(refused)
  server.on('connection', (socket) => connections.add(socket))
  // One request for each connection (see answer): what is sent behind it makes no page.
  server.maxRequestsPerSocket = 1
  await listening(server, options)
  server.on('error', () => {})
  server.unref()
  const { address, family, port } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

function listening(server: Server, { host, port }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const what = `The address ${host}:${port} cannot be listened on (${cause.code}).`
      reject(new OutboxError('INVALID_OPTION', what, { field: 'listen', remedy: 'Give a free port of this machine.', cause }))
    })
    server.listen(port, host, () => {
      server.removeAllListeners('error')
      resolve()
    })
  })
}

/** Nothing from elsewhere, nothing inline, and no frame around it: what a message made of itself runs nowhere. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

async function answer(serves: Serves, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // The limits of connections are those of requests then.
  response.shouldKeepAlive = false
  const { status, type, body } = await answerOf()
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': policy,
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    ...(status === 401 ? { 'www-authenticate': 'Basic realm="outbox", charset="UTF-8"' } : {}),
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : body)

  async function answerOf(): Promise<Answer> {
    const url = new URL(URL.canParse(request.url!, base) ? request.url! : '/', base)
    const { pages } = serves
    const page = Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined
    const knows = await isLogin(serves, request)
    if (!page?.open) {
      if (!knows) return plain(401, 'Login needed.')
      if (!isHere(serves, page, request.headers.host)) return plain(403, notHere)
    }
    if (!page) return plain(404, `Not found. There is: ${Object.keys(pages).join(' ')}`)
    if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'Only GET and HEAD.')
    return inTime(page, url, knows)
  }
}

const notHere = 'Without a login this page is for this machine only: ask for it as localhost, or set OUTBOX_HTTP_LOGIN.'

/**
 * Whether a page that is not open may be answered. Without a login a listener on loopback answers names of loopback only, because another
 * site's name can be made to lead here; and a secluded page is for such a listener alone.
 */
function isHere({ login, host }: ServerOptions, page: Page | undefined, asked: string | undefined): boolean {
  if (login) return true
  if (!isLoopback(host)) return !page?.secluded
  return isLoopback(asked?.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1') ?? '')
}

/** The page's answer, or 503 when it fails or takes too long. The reason may hold anything and is not told. */
async function inTime(page: Page, url: URL, knows: boolean): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Answer>((resolve) => {
    timer = setTimeout(() => resolve(plain(503, 'No answer in time.')), answerMs)
  })
  try {
    return await Promise.race([page.answer(url, knows), late])
  } catch {
    return plain(503, 'The page cannot be made at present.')
  } finally {
    clearTimeout(timer)
  }
}

const plain = (status: number, text: string): Answer => ({ status, type: 'text/plain; charset=utf-8', body: `${text}\n` })

/** Whether the request has the login, where one is set. A request without any is no try: browsers ask so first. */
async function isLogin({ logins, refused }: Serves, request: IncomingMessage): Promise<boolean> {
  if (!logins) return true
  const { authorization } = request.headers
  if (authorization === undefined) return false
  const { socket } = request
  const address = socket.remoteAddress ?? ''
  return logins.isRight(
    authorization,
    networkOf(address),
    () => socket.destroyed,
    () => refused('wrong_login', address),
  )
}
