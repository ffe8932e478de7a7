import type { Socket } from 'node:net'

/**
 * The connections of the server, so that none of them keeps a probe out (server.ts). Nobody knows what a connection will ask for before it
 * asks: instead of turning new ones away, the oldest one gives way. A probe needs a few milliseconds and is always the newest.
 */

/** Milliseconds from the connection to the last byte of its answer. A page may take half of them. */
const lifeMs = 10_000

/** Connections at once: a scrape, some probes and a few browsers. */
const mostConnections = 64

/** Connections at once of one network address: the users behind one proxy. */
const mostOfAddress = 32

/** Why a connection was closed before its end, or a request refused. */
export type Refusal = 'too_slow' | 'too_many' | 'wrong_login'

/** Limits how long each connection lives and how many there are. */
export class Connections {
  /** Open connections by the network they come from, the oldest first. */
  readonly #open = new Map<string, Set<Socket>>()
  readonly #closed: (why: Refusal, address: string) => void
  #count = 0

  /** `closed` is told of each connection that was closed before its end. */
  constructor(closed: (why: Refusal, address: string) => void) {
    this.#closed = closed
  }

  /** Takes a new connection in, and closes others until the limits hold. */
  add(socket: Socket): void {
    const network = networkOf(socket.remoteAddress ?? '')
    const own = this.#open.get(network) ?? new Set()
    this.#open.set(network, own.add(socket))
    this.#count++
    const timer = setTimeout(() => this.#close(socket, 'too_slow'), lifeMs).unref()
    socket.once('close', () => {
      clearTimeout(timer)
      this.#remove(network, socket)
    })
    if (own.size > mostOfAddress) this.#giveWay(network)
    else if (this.#count > mostConnections) this.#giveWay(this.#largest())
  }

  /** Closes the oldest connection of a network. */
  #giveWay(network: string): void {
    const [oldest] = this.#open.get(network)!
    // Its "close" comes later: until then it would count.
    this.#remove(network, oldest!)
    this.#close(oldest!, 'too_many')
  }

  /** The network that has most connections: one that has a single one loses none to it. */
  #largest(): string {
    return [...this.#open].reduce((largest, one) => (one[1].size > largest[1].size ? one : largest))[0]
  }

  #close(socket: Socket, why: Refusal): void {
    this.#closed(why, socket.remoteAddress ?? 'unknown')
    socket.destroy()
  }

  #remove(network: string, socket: Socket): void {
    const own = this.#open.get(network)
    if (!own?.delete(socket)) return
    this.#count--
    if (own.size === 0) this.#open.delete(network)
  }
}

/** The address that one machine has: of IPv6 the first half, because the second is anything that the machine likes. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  if (mapped) return mapped
  if (!address.includes(':')) return address
  const [before = '', after] = address.split('%')[0]!.split('::')
  const [head, tail] = [before, after ?? ''].map((part) => (part === '' ? [] : part.split(':')))
  const zeros = Array.from({ length: after === undefined ? 0 : 8 - head!.length - tail!.length }, () => '0')
  return [...head!, ...zeros, ...tail!].slice(0, 4).join(':')
}
