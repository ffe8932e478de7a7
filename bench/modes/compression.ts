import * as zlib from 'node:zlib'
import kafkajs from 'kafkajs'
import { registerCodecs } from '../../src/transport/kafkajs/codecs.ts'
import { compressions } from '../../src/transport/protocol/compression.ts'
import { contenderOf } from '../contenders.ts'
import { drain } from '../drain.ts'
import type { Mode } from '../mode.ts'

/** Those that this version of Node can write. */
const codecs = compressions.filter((name) => name !== 'none' && (name !== 'zstd' || 'zstdCompressSync' in zlib))

/** A backlog of orders, in JSON of about 300 bytes, with each codec of the relay: rate, CPU, and the size of the topic. */
export const compressionMode: Mode<{ name: string; messages: number }> = {
  cases: ({ messages = 100_000 }) => [{ name: `${messages} orders`, messages }],
  contenders: ['none', ...codecs],
  ratios: { figure: 'perSecond', beside: 'cpuMicros', pairs: codecs.map((name) => [name, 'none']) },
  measure(bench, name, { messages }) {
    // The topic is read back in this process.
    registerCodecs(kafkajs.CompressionCodecs)
    return drain(bench, contenderOf(`relay --compression=${name}`), { messages, keys: 10_000, orders: true })
  },
}
