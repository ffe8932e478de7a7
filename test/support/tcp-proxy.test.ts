import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TcpProxy } from '../history/fault.ts'
import { startTcpProxy } from './tcp-proxy.ts'

/** Sends back what it gets, and ends when the other side has ended. */
const echo = createServer((socket) => void socket.on('error', () => {}).pipe(socket))
let proxy: TcpProxy
beforeAll(async () => {
  await once(echo.listen(0, '127.0.0.1'), 'listening')
  proxy = await startTcpProxy({ port: (echo.address() as { port: number }).port })
})
afterAll(async () => {
  await proxy.close()
  echo.close()
})

async function open(): Promise<Socket> {
  const socket = connect(proxy.port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** Milliseconds until `bytes` have come back. */
async function roundTrip(socket: Socket, bytes: Buffer): Promise<number> {
  const begin = performance.now()
  let received = Buffer.alloc(0)
  socket.write(bytes)
  while (received.length < bytes.length) received = Buffer.concat([received, (await once(socket, 'data'))[0] as Buffer])
  expect(received.equals(bytes)).toBe(true)
  return performance.now() - begin
}

const failure = async (socket: Socket): Promise<string | undefined> =>
  new Promise((resolve) => socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code)))

describe('the TCP proxy', () => {
  test('hands every byte on, in both directions, and the end as well', async () => {
    const socket = await open()
    const all = Buffer.alloc(3_000_000, 'abcdefghij')
    let received = 0
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    socket.end(all)
    await once(socket, 'end')
    expect(received).toBe(all.length)
  })

  test('refuse: resets what is open, and nobody comes in until it is taken away', async () => {
    const socket = await open()
    const broken = failure(socket)
    const allow = proxy.impose({ kind: 'refuse' })
    expect(await broken).toBe('ECONNRESET')
    expect(await failure(connect(proxy.port, '127.0.0.1'))).toBe('ECONNREFUSED')
    allow()
    for (let late: string | undefined = ''; late !== undefined; ) {
      const next = connect(proxy.port, '127.0.0.1')
      late = await Promise.race([failure(next), once(next, 'connect').then(() => undefined)])
      next.destroy()
    }
  })

  test('reset: once, new connections pass', async () => {
    const socket = await open()
    const broken = failure(socket)
    proxy.impose({ kind: 'reset' })
    expect(await broken).toBe('ECONNRESET')
    const next = await open()
    await roundTrip(next, Buffer.from('after'))
    next.destroy()
  })

  test('black hole: takes bytes and hands nothing on until it is taken away; the connection stays', async () => {
    const socket = await open()
    await roundTrip(socket, Buffer.from('before'))
    const lift = proxy.impose({ kind: 'black-hole' })
    const back = roundTrip(socket, Buffer.from('blocked'))
    const first = await Promise.race([back.then(() => 'answer'), new Promise((resolve) => setTimeout(resolve, 200, 'silence'))])
    expect(first).toBe('silence')
    lift()
    await back
    socket.destroy()
  })

  test('delay: each direction that much later; two at once: the longer one', async () => {
    const socket = await open()
    const lifts = [proxy.impose({ kind: 'delay', ms: 30 }), proxy.impose({ kind: 'delay', ms: 60 })]
    expect(await roundTrip(socket, Buffer.from('slow'))).toBeGreaterThanOrEqual(115)
    for (const lift of lifts) lift()
    expect(await roundTrip(socket, Buffer.from('quick'))).toBeLessThan(60)
    socket.destroy()
  })

  test('throttle: no more bytes a second than that', async () => {
    const socket = await open()
    const lift = proxy.impose({ kind: 'throttle', bytesPerSecond: 100_000 })
    expect(await roundTrip(socket, Buffer.alloc(50_000, 'x'))).toBeGreaterThan(450)
    lift()
    socket.destroy()
  })

  test('black hole over throttle: what was taken before is swallowed too, and comes when both are over', async () => {
    let received = 0
    let arrived = () => {}
    const sink = createServer((socket) => {
      socket
        .on('error', () => {})
        .on('data', (chunk: Buffer) => {
          received += chunk.length
          arrived()
        })
    })
    const until = (bytes: number) =>
      new Promise<void>((resolve) => {
        arrived = () => received >= bytes && resolve()
        arrived()
      })
    await once(sink.listen(0, '127.0.0.1'), 'listening')
    const own = await startTcpProxy({ port: (sink.address() as { port: number }).port })
    const unthrottle = own.impose({ kind: 'throttle', bytesPerSecond: 100_000 })
    const socket = connect(own.port, '127.0.0.1')
    socket.write(Buffer.alloc(50_000, 'x'))
    await until(1)
    const lift = own.impose({ kind: 'black-hole' })
    // The slice under way may still arrive.
    await new Promise((resolve) => setTimeout(resolve, 150))
    const before = received
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(received).toBe(before)
    expect(before).toBeLessThan(50_000)
    lift()
    unthrottle()
    await until(50_000)
    socket.destroy()
    await own.close()
    sink.close()
  })

  test('reset after a text: the target gets it, the client no answer', async () => {
    const got: Buffer[] = []
    const server = createServer((socket) => void socket.on('error', () => {}).on('data', (chunk) => got.push(chunk)))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const own = await startTcpProxy({ port: (server.address() as { port: number }).port })
    own.impose({ kind: 'reset-after', text: 'COMMIT' })
    const socket = connect(own.port, '127.0.0.1')
    await once(socket, 'connect')
    const broken = failure(socket)
    socket.write('INSERT;COM')
    socket.write('MIT')
    expect(await broken).toBe('ECONNRESET')
    while (!Buffer.concat(got).includes('COMMIT')) await new Promise((resolve) => setImmediate(resolve))
    await own.close()
    server.close()
  })
})
