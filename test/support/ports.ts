import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'

/** The first port that the system gives to outgoing connections; Linux tells, elsewhere it is the one that IANA names. */
function firstOutgoing(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0])
  } catch {
    return 49_152
  }
}

const lowest = 15_000

/** What this process was given: who got a port may not have bound it yet when the next one asks. */
const given = new Set<number>()

/**
 * A TCP port of 127.0.0.1 that was free a moment ago, below those of outgoing connections. A server that is down for a while must find its
 * port free again. A client that tries to reach it could even be given that port and connect to itself.
 */
export async function freePort(): Promise<number> {
  const span = firstOutgoing() - lowest
  for (let left = 100; left > 0 && span > 0; left--) {
    const port = lowest + Math.floor(Math.random() * span)
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
  throw new Error('No port is free.')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** Resolves when something listens on the port; rejects after `timeoutMs`. */
export async function portOpen(port: number, timeoutMs: number): Promise<void> {
  for (const end = Date.now() + timeoutMs; Date.now() < end; ) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true))
      socket.once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`Port ${port} did not open within ${timeoutMs} ms.`)
}
