import { connect, createServer, type Socket } from 'node:net'

/** What was seen of the Produce requests of a relay. */
export interface Seen {
  requests: number
  /** Requests by their acks. */
  acks: Record<string, number>
  transactional: boolean
  idempotent: boolean
  /** Requests by the compression of their first batch. */
  compression: Record<string, number>
}

const compressions = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** A proxy before a listener of the broker that reads the Produce requests as they pass. */
export async function watchProduce(port: number, listener: number): Promise<{ seen: Seen; stop(): void }> {
  const seen: Seen = { requests: 0, acks: {}, transactional: false, idempotent: false, compression: {} }
  const server = createServer((client) => {
    const broker = connect(listener, '127.0.0.1')
    let rest: Buffer = Buffer.alloc(0)
    client.on('data', (chunk) => {
      broker.write(chunk)
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
        const end = 4 + rest.readInt32BE(0)
        note(seen, rest.subarray(4, end))
        rest = rest.subarray(end)
      }
    })
    broker.on('data', (chunk) => client.write(chunk))
    endTogether(client, broker)
    endTogether(broker, client)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return { seen, stop: () => server.close() }
}

function endTogether(one: Socket, other: Socket): void {
  one.on('error', () => other.destroy())
  one.on('close', () => other.destroy())
}

/** Reads one request; only those of the Produce API count. */
function note(seen: Seen, request: Buffer): void {
  const [api, version, clientId] = [request.readInt16BE(0), request.readInt16BE(2), request.readInt16BE(8)]
  if (api !== 0) return
  seen.requests++
  let at = 10 + Math.max(0, clientId)
  // The transactional id: from version 9 on behind tagged fields, and with a length of another kind.
  const length = version >= 9 ? request[++at]! - 1 : request.readInt16BE(at)
  at += (version >= 9 ? 1 : 2) + Math.max(0, length)
  seen.transactional ||= length > 0
  const acks = request.readInt16BE(at)
  seen.acks[acks] = (seen.acks[acks] ?? 0) + 1
  noteBatch(seen, request, at)
}

/** Finds the first record batch (magic 2) by its head. */
function noteBatch(seen: Seen, request: Buffer, from: number): void {
  for (let at = from; at < Math.min(request.length - 61, from + 300); at++) {
    const length = request.readInt32BE(at + 8)
    const isBatch =
      request[at + 16] === 2 && request.readBigInt64BE(at) === 0n && length > 49 && at + 12 + length <= request.length
    if (!isBatch) continue
    const name = compressions[request.readInt16BE(at + 21) & 7] ?? 'unknown'
    seen.compression[name] = (seen.compression[name] ?? 0) + 1
    seen.idempotent ||= request.readBigInt64BE(at + 43) >= 0n
    return
  }
}
