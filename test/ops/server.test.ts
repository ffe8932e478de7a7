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

async function started(login?: ServerOptions['login'], host = '127.0.0.1') {
  const serving = await serve({ host, port: 0, login, pages })
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

describe('a secluded page', () => {
  /** Status of the page for a request to that port of this machine which names a host; fetch would name its own. */
  const asked = (port: string, host: string, headers: Record<string, string> = {}) =>
    new Promise<number>((resolve, reject) => {
      request({ port, path: '/secluded', headers: { ...headers, host } }, (response) => {
        response.resume()
        resolve(response.statusCode!)
      })
        .on('error', reject)
        .end()
    })
  const portOf = (url: string) => new URL(url).port

  test.each([
    ['localhost:1', 200],
    ['127.0.0.1', 200],
    ['[::1]:9464', 200],
    ['evil.example', 403],
    ['localhost.evil.example:9464', 403],
    ['127.0.0.1.evil.example', 403],
  ])(
    'without a login, asked for as %s: %i, so that no site can lead a browser here by a name of its own',
    async (host, status) => {
      expect(await asked(portOf((await started()).url), host)).toBe(status)
    },
  )

  test('without a login it is for nobody where the server listens to others', async () => {
    const { url } = await started(undefined, '0.0.0.0')
    expect(await asked(portOf(url), 'localhost')).toBe(403)
  })

  test('with a login it is for whoever has it, by any name', async () => {
    const { url, basic } = await started({ user: 'ada', password: 'secret' }, '0.0.0.0')
    expect(await asked(portOf(url), 'relay.example')).toBe(401)
    expect(await asked(portOf(url), 'relay.example', basic('ada:secret').headers)).toBe(200)
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
