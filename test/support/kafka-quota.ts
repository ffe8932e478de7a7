import { once } from 'node:events'
import { connect } from 'node:net'

/** AlterClientQuotas, version 0 (KIP-546): kafkajs has no such request, and Kafka's own tool takes seconds of two cores to start. */
const alterClientQuotas = 49

/** A frozen broker does not answer at all. */
const answerMs = 3_000

const text = (value: string): Buffer => {
  const length = Buffer.alloc(2)
  length.writeInt16BE(Buffer.byteLength(value))
  return Buffer.concat([length, Buffer.from(value)])
}
const int16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff])
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const float64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return bytes
}

/** Sets how many bytes a second every client without a quota of its own may produce to each broker; undefined: as many as it likes. */
export async function limitProducers(address: string, bytesPerSecond: number | undefined): Promise<void> {
  const everyClient = [int32(1), text('client-id'), int16(-1)]
  const rate = [
    int32(1),
    text('producer_byte_rate'),
    float64(bytesPerSecond ?? 0),
    Buffer.from([bytesPerSecond === undefined ? 1 : 0]),
  ]
  const header = [int16(alterClientQuotas), int16(0), int32(1), text('test')]
  const request = Buffer.concat([...header, int32(1), ...everyClient, ...rate, Buffer.from([0])])
  const [host, port] = address.split(':') as [string, string]
  const socket = connect(Number(port), host)
  try {
    const signal = AbortSignal.timeout(answerMs)
    await once(socket, 'connect', { signal })
    socket.write(Buffer.concat([int32(request.length), request]))
    const [answer] = (await once(socket, 'data', { signal })) as [Buffer]
    // Size, correlation id, throttle time, number of entries, code of the first.
    const code = answer.readInt16BE(16)
    if (code !== 0) throw new Error(`The broker refused the quota with code ${code}.`)
  } finally {
    socket.destroy()
  }
}
