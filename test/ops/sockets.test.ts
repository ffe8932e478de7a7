import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { networkOf, type Refusal } from '../../src/ops/connections.ts'
import { type ServerOptions, serve } from '../../src/ops/server.ts'

// Attacks on the probes of a relay. Linux lets a client take any address of 127.0.0.0/8: each is another machine to the server.

/** More than the kernel takes for a client that does not read. */
const large = 'x'.repeat(5_000_000)

const pages: ServerOptions['pages'] = {
  '/livez': { open: true, answer: () => ({ status: 200, type: 'text/plain', body: 'alive' }) },
  '/large': { open: true, answer: () => ({ status: 200, type: 'text/plain', body: large }) },
}

/** A server under attack; `refused` counts what it refused, by reason. */
async function attacked(host = '127.0.0.1') {
  const refused = { too_slow: 0, too_many: 0, wrong_login: 0 } satisfies Record<Refusal, number>
  const { url, close } = await serve({ host, port: 0, pages, refused: (reason) => refused[reason]++ })
  onTestFinished(close)
  const port = Number(new URL(url).port)
  /** Milliseconds in which a probe from that address is answered. */
  const probe = (localAddress: string) =>
    new Promise<number>((resolve, reject) => {
      const asked = performance.now()
      request({ port, host: '127.0.0.1', localAddress, path: '/livez', agent: false }, (response) => {
        response.resume()
        resolve(performance.now() - asked)
      })
        .on('error', reject)
        .end()
    })
  return { port, refused, probe }
}

const attacks = {
  idle: () => {},
  slowloris: (socket) => {
    socket.write('GET /livez HTTP/1.1\r\nHost: a\r\n')
    const drip = setInterval(() => socket.write('X-A: b\r\n'), 200).unref()
    socket.once('close', () => clearInterval(drip))
  },
  'sending a body that never ends': (socket) => {
    socket.write('POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n')
    socket.pause()
  },
  'reading nothing': (socket) => {
    socket.pause()
    socket.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(50))
  },
} satisfies Record<string, (socket: Socket) => void>

/** Opens attacking connections from each address; they stay until the test is over. */
async function attack(
  port: number,
  addresses: readonly string[],
  each: number,
  how: (socket: Socket) => void,
): Promise<Socket[]> {
  const open = addresses.flatMap((localAddress) =>
    Array.from({ length: each }, () => {
      const socket = connect({ port, host: '127.0.0.1', localAddress })
      socket.on('error', () => {})
      socket.once('connect', () => how(socket))
      onTestFinished(() => void socket.destroy())
      return socket
    }),
  )
  await Promise.all(open.map((socket) => once(socket, 'connect')))
  return open
}

describe.each(Object.entries(attacks))('many connections, %s,', (kind, how) => {
  test.each([
    ['one address', ['127.0.0.9'], 40],
    ['the address of the probe', ['127.0.0.1'], 40],
    ['many addresses', Array.from({ length: 40 }, (_, n) => `127.0.1.${n + 1}`), 2],
  ])('from %s do not keep a probe from its answer', async (_, addresses, each) => {
    const { port, refused, probe } = await attacked()
    await attack(port, addresses, each, how)
    // The first one also waits for the answers that the attack asked for: work, not a lack of slots.
    await probe('127.0.0.1')
    for (let n = 0; n < 5; n++) expect(await probe('127.0.0.1')).toBeLessThan(2_000)
    // A body is not waited for: the answer ends the connection.
    expect(refused.too_many > 0).toBe(kind !== 'sending a body that never ends')
  })
})

test.each([
  ['is idle', attacks.idle],
  ['sends slowly', attacks.slowloris],
  ['does not read', attacks['reading nothing']],
])('a connection that %s is closed after ten seconds, and counted', async (_, how) => {
  const { port, refused } = await attacked()
  const begun = performance.now()
  const [socket] = await attack(port, ['127.0.0.1'], 1, how)
  while (refused.too_slow === 0) await new Promise((resolve) => setTimeout(resolve, 50))
  expect(performance.now() - begun).toBeLessThan(12_000)
  socket!.resume()
  if (!socket!.closed) await once(socket!, 'close')
  expect(refused).toEqual({ too_slow: 1, too_many: 0, wrong_login: 0 })
})

test('a connection has one request: what is sent behind it is not answered', async () => {
  const { port } = await attacked()
  const begun = performance.now()
  const socket = connect(port, '127.0.0.1', () => socket.write('GET /livez HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3)))
  let text = ''
  socket.on('data', (data) => {
    text += data
  })
  await once(socket, 'close')
  expect(text.match(/alive/g)).toHaveLength(1)
  expect(text).toMatch(/^connection: close/im)
  expect(performance.now() - begun).toBeLessThan(3_000)
})

test.each([
  ['10.1.2.3', '10.1.2.3'],
  ['::ffff:10.1.2.3', '10.1.2.3'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8::6', '2001:db8:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['::1', '0:0:0:0'],
])('the address %s counts as %s', (address, network) => expect(networkOf(address)).toBe(network))
