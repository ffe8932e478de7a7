import { EventEmitter, once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { Signal } from '../../src/relay/state/signal.ts'
import { systemClock } from '../../src/running/clock.ts'
import type { ProxyMode, TcpProxy } from '../history/fault.ts'
import { freePort } from './ports.ts'
import { ProduceFrames } from './produce-frames.ts'

/** Bytes of one direction that a proxy holds before it stops taking more. */
const holdBytes = 1_048_576

/** Milliseconds between two slices of a throttled connection. */
const sliceMs = 50

/** Starts a proxy on a free port of 127.0.0.1, in front of `target` on the same host. */
export async function startTcpProxy(target: { port: number }): Promise<TcpProxy> {
  const proxy = new Forwarder(target.port)
  // It refuses by closing its port, and must get the same one back.
  proxy.port = await freePort()
  await proxy.listen()
  return proxy
}

class Forwarder implements TcpProxy {
  port = 0
  readonly #target: number
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  readonly #modes = new Set<ProxyMode>()
  readonly #change = new EventEmitter().setMaxListeners(0)
  #listening: Promise<void> = Promise.resolve()
  #closed = false

  constructor(target: number) {
    this.#target = target
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client))
    // A port that is taken again at once after a refusal may be busy for a moment: `listen` tries again.
    this.#server.on('error', () => {})
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.port, '127.0.0.1', resolve))
    this.port = (this.#server.address() as { port: number }).port
  }

  impose(mode: ProxyMode): () => void {
    if (mode.kind === 'reset') {
      for (const pair of this.#pairs) pair.reset()
      return () => {}
    }
    this.#modes.add(mode)
    this.#apply()
    return () => {
      this.#modes.delete(mode)
      this.#apply()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#stopListening()
    await this.#listening
    this.#stopListening()
  }

  /** Wakes anyone who waits for another mode, and opens or closes the port. */
  #apply(): void {
    this.#change.emit('change')
    if (this.#in('refuse')) this.#stopListening()
    else this.#listening = this.#listening.then(() => this.#listenAgain())
  }

  #stopListening(): void {
    this.#server.close()
    for (const pair of this.#pairs) pair.reset()
  }

  async #listenAgain(): Promise<void> {
    while (!this.#server.listening && !this.#closed && !this.#in('refuse')) {
      const attempt = new AbortController()
      const taken = once(this.#server, 'error', attempt).catch(() => {})
      await Promise.race([taken, this.listen()])
      attempt.abort()
      if (!this.#server.listening) await wait(20)
    }
  }

  #accept(client: Socket): void {
    if (this.#in('refuse') || this.#closed) return void client.resetAndDestroy()
    // Every wait of a connection ends with it.
    const pair = new Pair(client, this.#target, this)
    this.#pairs.add(pair)
    client.once('close', () => this.#pairs.delete(pair))
  }

  #in(kind: ProxyMode['kind']): boolean {
    return this.all(kind).length > 0
  }

  /** The modes of that kind in force. */
  all<K extends ProxyMode['kind']>(kind: K): Extract<ProxyMode, { kind: K }>[] {
    return [...this.#modes].filter((mode): mode is Extract<ProxyMode, { kind: K }> => mode.kind === kind)
  }

  /** Resolves when nothing is swallowed any more, or when `signal` aborts. */
  async passable(signal: AbortSignal): Promise<void> {
    while (this.#in('black-hole') && !signal.aborted) await once(this.#change, 'change', { signal }).catch(() => {})
  }
}

/** One connection of a client, with its counterpart at the target. */
class Pair {
  readonly #client: Socket
  readonly #target: Socket
  readonly #over = new AbortController()
  readonly #frames = new ProduceFrames()

  constructor(client: Socket, port: number, proxy: Forwarder) {
    this.#client = client
    this.#target = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    for (const socket of [this.#client, this.#target]) {
      socket.on('error', () => {})
      // With a reset, because a half of a dead connection must not look like a polite end.
      socket.once('close', () => this.reset())
    }
    void this.#pump(this.#client, this.#target, proxy, true)
    void this.#pump(this.#target, this.#client, proxy, false)
  }

  reset(): void {
    if (this.#over.signal.aborted) return
    this.#over.abort()
    // Each side may have been told the end of the other already; a reset of an ended socket is nothing.
    this.#client.resetAndDestroy()
    this.#target.resetAndDestroy()
  }

  /** Hands the bytes of one direction on, chunk by chunk, as the modes in force say. */
  async #pump(from: Socket, to: Socket, proxy: Forwarder, watched: boolean): Promise<void> {
    const { signal } = this.#over
    const queue: { chunk: Buffer | undefined; at: number }[] = []
    const arrived = new Signal(systemClock)
    let held = 0
    const take = (chunk: Buffer | undefined) => {
      queue.push({ chunk, at: performance.now() })
      held += chunk?.length ?? 0
      if (held > holdBytes) from.pause()
      arrived.raise()
    }
    from.on('data', take)
    from.once('end', () => take(undefined))
    let tail = ''
    while (!signal.aborted) {
      const next = queue.shift()
      if (!next) {
        await arrived.wait(signal)
        continue
      }
      const { chunk, at } = next
      // From the first byte on, whatever the mode: it may change between a request and its answer.
      if (chunk && watched) this.#frames.request(chunk)
      const isProduced = chunk !== undefined && !watched && this.#frames.answers(chunk)
      const slow = isProduced ? proxy.all('slow-produce').map(({ ms }) => at + ms - performance.now()) : []
      if (slow.length > 0) await wait(Math.max(0, ...slow), undefined, { signal }).catch(() => {})
      const late = Math.max(0, ...proxy.all('delay').map(({ ms }) => at + ms - performance.now()))
      if (late > 0) await wait(late, undefined, { signal }).catch(() => {})
      await proxy.passable(signal)
      if (signal.aborted) return
      if (!chunk) return void to.end()
      await this.#inFlight(chunk, to, proxy)
      held -= chunk.length
      if (held <= holdBytes) from.resume()
      tail = tail.slice(-64) + chunk.toString('latin1')
      if (watched && proxy.all('reset-after').some(({ text }) => tail.includes(text))) return this.reset()
    }
  }

  async #inFlight(chunk: Buffer, to: Socket, proxy: Forwarder): Promise<void> {
    const { signal } = this.#over
    for (let at = 0; at < chunk.length; ) {
      // Between two slices of one chunk as well: a throttled one takes seconds.
      await proxy.passable(signal)
      if (signal.aborted) return
      const slowest = Math.min(...proxy.all('throttle').map(({ bytesPerSecond }) => bytesPerSecond))
      const size = Number.isFinite(slowest) ? Math.max(1, Math.floor((slowest * sliceMs) / 1_000)) : chunk.length
      const room = to.write(chunk.subarray(at, at + size))
      at += size
      if (Number.isFinite(slowest)) await wait(sliceMs, undefined, { signal }).catch(() => {})
      if (!room && !to.destroyed) await once(to, 'drain', { signal }).catch(() => {})
    }
  }
}
