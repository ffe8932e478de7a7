import type { Socket } from 'node:net'

/**
 * What a broker, or anyone who answers in its place, may do to this process: the socket of a client is guarded before the client reads from
 * it. Both clients keep an answer in memory as a whole, and throw from within the socket's event when they cannot read one.
 */

/** Bytes of one answer: the metadata of some hundred thousand partitions. Arrays in it are bounded by that too, as each entry has bytes. */
export const mostAnswerBytes = 32 * 1024 * 1024

/**
 * Bytes of one answer to a fetch. A broker fills it up to 55 MiB (`fetch.max.bytes`), whatever a consumer asks for; only a single larger
 * batch comes whole.
 */
export const mostFetchedBytes = 128 * 1024 * 1024

/** Code of the socket's error for an answer that is too large. */
export const tooLargeCode = 'EMSGSIZE'

/**
 * Closes the socket for an answer of more than `most` bytes, and for one that makes its reader throw; the reader learns it as an error of
 * the socket.
 */
export function guarded(socket: Socket, most: number = mostAnswerBytes): Socket {
  const answers = new Answers(most)
  const on = socket.on.bind(socket) as (event: string, listener: (...args: never[]) => void) => Socket
  socket.on = (event: string, listener: (...args: never[]) => void) => {
    if (event !== 'data') return on(event, listener)
    return on('data', ((chunk: Buffer) => {
      if (socket.destroyed) return
      if (answers.exceed(chunk)) {
        socket.destroy(failure(tooLargeCode, 'A broker announced an answer that is too large.'))
        return
      }
      try {
        ;(listener as (chunk: Buffer) => void)(chunk)
      } catch (cause) {
        socket.destroy(failure('EPROTO', 'The Kafka client cannot read the answer of a broker.', cause))
      }
    }) as (...args: never[]) => void)
  }
  return socket
}

const failure = (code: string, message: string, cause?: unknown): Error => Object.assign(new Error(message, { cause }), { code })

/** Follows the sizes in front of the answers of a connection. */
class Answers {
  readonly #most: number
  /** Bytes of the answer under way that are still to come. */
  #left = 0
  readonly #size = Buffer.alloc(4)
  /** Bytes of the next size that have come. */
  #sizeBytes = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Whether this part of the stream announces an answer of impossible size. */
  exceed(chunk: Buffer): boolean {
    for (let at = 0; at < chunk.length; ) {
      if (this.#left > 0) {
        const part = Math.min(this.#left, chunk.length - at)
        this.#left -= part
        at += part
        continue
      }
      this.#size[this.#sizeBytes++] = chunk[at++]!
      if (this.#sizeBytes < this.#size.length) continue
      this.#sizeBytes = 0
      this.#left = this.#size.readInt32BE()
      if (this.#left < 0 || this.#left > this.#most) return true
    }
    return false
  }
}

/** Where an error was thrown: in a file of one of the Kafka clients, or elsewhere. Frames of Node itself tell nothing. */
export function isOfKafkaClient(error: unknown): boolean {
  const frames = String((error as Error | undefined)?.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
  const first = frames.find((line) => !/\(?node:/.test(line))
  return first !== undefined && /[\\/]node_modules[\\/](kafkajs|@platformatic)[\\/]/.test(first)
}
