import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { OutboxError } from '../message/errors.ts'

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
  login?: { user: string; password: string } | undefined
  /** Pages by their path. */
  pages: Readonly<Record<string, Page>>
}

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

/** Connections at once: a scrape, some probes and a browser or two. */
const mostConnections = 50

/**
 * Serves pages over HTTP, to read only. Never keeps the process alive.
 *
 * @throws OutboxError INVALID_OPTION when the address cannot be listened on.
 */
export async function serve(options: ServerOptions): Promise<Serving> {
  const server = createServer((request, response) => void answer(options, request, response))
  server.requestTimeout = answerMs
  server.headersTimeout = answerMs
  server.maxConnections = mostConnections
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

async function answer(options: ServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { login, pages } = options
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
    const page = Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined
    const knows = isLogin(request.headers.authorization, login)
    if (!(page?.open ?? false) && !knows) return plain(401, 'Login needed.')
    if (page?.secluded && !isHere(options, request.headers.host)) return plain(403, notHere)
    if (!page) return plain(404, `Not found. There is: ${Object.keys(pages).join(' ')}`)
    if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'Only GET and HEAD.')
    return inTime(page, url, knows)
  }
}

const notHere = 'Without a login this page is for this machine only: ask for it as localhost, or set OUTBOX_HTTP_LOGIN.'

const loopback = /^(localhost|127(\.\d{1,3}){3}|::1)$/i

/** Whether a secluded page may be answered: there is a login, or both the server's address and the one that was asked for are loopback. */
function isHere({ login, host }: ServerOptions, asked: string | undefined): boolean {
  if (login) return true
  const name = asked?.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1') ?? ''
  return loopback.test(host) && loopback.test(name)
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

/** Compares digests: they have one length, and the time tells nothing about the password. */
function isLogin(header: string | undefined, login: ServerOptions['login']): boolean {
  if (!login) return true
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const expected = `Basic ${Buffer.from(`${login.user}:${login.password}`).toString('base64')}`
  return timingSafeEqual(digest(header ?? ''), digest(expected))
}
