import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Answer, type ServerOptions, serve } from '../../src/ops/server.ts'

const says = (body: string): Answer => ({ status: 200, type: 'text/plain', body })

const pages: ServerOptions['pages'] = {
  '/open': { open: true, answer: (url) => says(`open ${url.searchParams.get('q')}`) },
  '/closed': { open: false, answer: () => says('closed') },
  '/secluded': { open: false, secluded: true, answer: () => says('secluded') },
  '/broken': { open: true, answer: () => Promise.reject(new Error('canary')) },
  '/slow': { open: true, answer: () => new Promise(() => {}) },
}

async function started(login?: ServerOptions['login'], host = '127.0.0.1', refused?: ServerOptions['refused']) {
  const serving = await serve({ host, port: 0, login, pages, refused })
  onTestFinished(() => serving.close())
  const ask = (path: string, init: RequestInit = {}) => fetch(serving.url + path, init)
  const basic = (text: string) => ({ headers: { authorization: `Basic ${Buffer.from(text).toString('base64')}` } })
  return { ...serving, ask, basic }
}

test('pages answer by their path; what is not there, and what is not reading, is refused', async () => {
  const { ask } = await started()
  expect(await (await ask('/open?q=1')).text()).toBe('open 1')
  expect((await ask('/closed')).status).toBe(200)
  expect((await ask('/')).status).toBe(404)
  expect((await ask('/constructor')).status).toBe(404)
  expect((await ask('/open', { method: 'POST' })).status).toBe(405)
  const head = await ask('/open', { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([200, ''])
})

test('the login is asked for where the page is not open, and for what is not there', async () => {
  const { ask, basic } = await started({ user: 'ada', password: 'pass:word' })
  expect((await ask('/open')).status).toBe(200)
  for (const path of ['/closed', '/']) {
    for (const wrong of [{}, basic('ada:pass'), basic('ada:pass:word2'), basic('bob:pass:word')]) {
      const refused = await ask(path, wrong)
      expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, expect.stringContaining('Basic')])
    }
  }
  expect(await (await ask('/closed', basic('ada:pass:word'))).text()).toBe('closed')
})

/** Status of a page for a request to that port of this machine which names a host, from an address; fetch would name its own. */
const asked = (port: string, path: string, host: string, headers: Record<string, string> = {}, localAddress = '127.0.0.1') =>
  new Promise<number>((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, localAddress, headers: { ...headers, host }, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode!)
    })
      .on('error', reject)
      .end()
  })
const portOf = (url: string) => new URL(url).port

describe('without a login', () => {
  test.each([
    ['localhost:1', 200],
    ['127.0.0.1', 200],
    ['[::1]:9464', 200],
    ['evil.example', 403],
    ['localhost.evil.example:9464', 403],
    ['127.0.0.1.evil.example', 403],
  ])('on loopback, asked for as %s: %i, so that no site can lead a browser here by a name of its own', async (host, status) => {
    const port = portOf((await started()).url)
    for (const path of ['/secluded', '/closed']) expect(await asked(port, path, host)).toBe(status)
    expect(await asked(port, '/not-there', host)).toBe(status === 200 ? 404 : 403)
    expect(await asked(port, '/open', host)).toBe(200)
  })

  test('a server that listens to others answers by any name, and has no secluded page', async () => {
    const port = portOf((await started(undefined, '0.0.0.0')).url)
    expect(await asked(port, '/closed', 'relay.example')).toBe(200)
    expect(await asked(port, '/secluded', 'localhost')).toBe(403)
  })
})

describe('with a login', () => {
  const login = { user: 'ada', password: 'secret' }

  test('pages are for everybody who has it, by any name', async () => {
    for (const host of ['0.0.0.0', '127.0.0.1']) {
      const { url, basic } = await started(login, host)
      expect(await asked(portOf(url), '/secluded', 'relay.example')).toBe(401)
      expect(await asked(portOf(url), '/secluded', 'relay.example', basic('ada:secret').headers)).toBe(200)
    }
  })

  /** A server that keeps the addresses of wrong logins; `guess` gives the status and the milliseconds of a try. */
  async function guessed() {
    const wrong: string[] = []
    const { url, basic } = await started(login, '127.0.0.1', (reason, address) => wrong.push(`${reason} ${address}`))
    const guess = async (password: string, address = '127.0.0.9') => {
      const begun = performance.now()
      const status = await asked(portOf(url), '/closed', 'localhost', basic(`ada:${password}`).headers, address)
      return { status, ms: performance.now() - begun }
    }
    return { wrong, guess, port: Number(portOf(url)), basic }
  }

  test('wrong ones take a second each, however many come at once, and are told with their address', async () => {
    const { wrong, guess } = await guessed()
    const guesses = await Promise.all(['a', 'b', 'c', 'secret'].map((password) => guess(password)))
    expect(guesses.map(({ status }) => status)).toEqual([401, 401, 401, 200])
    // The right one among them waited for the wrong ones: how long an answer takes tells nothing.
    expect(Math.max(...guesses.map(({ ms }) => ms))).toBeGreaterThan(2_900)
    expect(guesses[3]!.ms).toBeGreaterThan(900)
    expect(wrong).toEqual(Array(3).fill('wrong_login 127.0.0.9'))
  })

  test('a wrong one from elsewhere delays nobody, and a request without one is no try', async () => {
    const { wrong, guess, port } = await guessed()
    const guesses = Promise.all(['a', 'b'].map((password) => guess(password)))
    expect(await guess('secret', '127.0.0.2')).toMatchObject({ status: 200 })
    expect(await asked(String(port), '/closed', 'localhost', {}, '127.0.0.2')).toBe(401)
    expect((await guesses).map(({ status }) => status)).toEqual([401, 401])
    expect(wrong).toHaveLength(2)
  })

  test('hanging up before the answer does not make the next try come sooner', async () => {
    const { wrong, guess, port, basic } = await guessed()
    const { authorization } = basic('ada:a').headers
    for (let n = 0; n < 5; n++) {
      const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.9' })
      socket.write(`GET /closed HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorization}\r\n\r\n`, () =>
        setTimeout(() => socket.destroy(), 50),
      )
      await once(socket, 'close')
    }
    expect((await guess('secret')).ms).toBeGreaterThan(300)
    // The first was compared; of the others nobody waited any more.
    expect(wrong).toHaveLength(1)
  })
})

test('a page that fails, or does not answer, is 503 and tells no reason', async () => {
  const { ask } = await started()
  const [broken, slow] = await Promise.all([ask('/broken'), ask('/slow')])
  expect([broken.status, slow.status]).toEqual([503, 503])
  expect(await broken.text()).not.toContain('canary')
})

test('closing ends connections that are open, and requests that nobody answers', async () => {
  const { url, ask, close } = await started()
  const idle = connect(Number(new URL(url).port), '127.0.0.1')
  await once(idle, 'connect')
  const asked = ask('/slow').catch((error: Error) => error)
  await ask('/open')
  const ended = once(idle, 'close')
  close()
  close()
  expect(await asked).toBeInstanceOf(TypeError)
  await ended
  await expect(ask('/open')).rejects.toThrow()
})

test('an address that is taken is refused with the option and the reason', async () => {
  const { url } = await started()
  await expect(serve({ host: '127.0.0.1', port: Number(new URL(url).port), pages })).rejects.toMatchObject({
    code: 'OUTBOX_INVALID_OPTION',
    message: expect.stringContaining('EADDRINUSE'),
  })
})
