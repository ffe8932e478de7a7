import type { Socket } from 'node:net'

// A client begins with the brokers that it is given, and goes on with the addresses that these advertise. When such an address cannot be
// reached, brokers run and answer, and still nothing works: the most frequent trouble of Kafka there is. Used by the sockets of all clients.

/** Share of a client's time for a connection, after which one to an advertised address is given up: before the client gives up on its own. */
const timeShare = 0.8

const words = (address: string, why: string): string =>
  `A broker answered, but the address that it advertises, ${address}, cannot be reached (${why}).`

/** The advertised address in the words of an error, if it is about one. */
export const advertisedIn = (text: string): string | undefined =>
  /A broker answered, but the address that it advertises, (\S+), cannot be reached/.exec(text)?.[1]

/**
 * Lets the error of a connection that does not come about say that its address was advertised. Call it before the socket connects; TLS and
 * login are no matter of the address.
 */
export function tellAdvertised(socket: Socket, address: string, connectionTimeoutMs: number): void {
  const late = () => socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }))
  const timer = setTimeout(late, connectionTimeoutMs * timeShare)
  const failed = (error: Error & { code?: unknown }) => {
    // Without a code it is ours: the client was thrown away.
    if (error.code !== undefined) error.message = words(address, error.message || String(error.code))
  }
  // In front: the client makes an error of its own from this one.
  socket.prependOnceListener('error', failed)
  socket.once('connect', () => {
    clearTimeout(timer)
    socket.off('error', failed)
  })
  socket.once('close', () => clearTimeout(timer))
}
