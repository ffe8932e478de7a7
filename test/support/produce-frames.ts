/** Number of the Produce API. */
const produceKey = 0

/** Length, API key, version and correlation id. */
const headBytes = 12

/** Reads the frames of one connection to a broker as they pass, to tell which answers are those of Produce requests. */
export class ProduceFrames {
  readonly #asked = new Set<number>()
  readonly #requests = new Frames()
  readonly #answers = new Frames()

  /** Bytes of the client. */
  request(chunk: Buffer): void {
    for (const head of this.#requests.take(chunk)) if (head.readInt16BE(4) === produceKey) this.#asked.add(head.readInt32BE(8))
  }

  /** Bytes of the broker; whether an answer to a Produce request begins in them. */
  answers(chunk: Buffer): boolean {
    let found = false
    for (const head of this.#answers.take(chunk)) if (this.#asked.delete(head.readInt32BE(4))) found = true
    return found
  }
}

/** Finds where frames begin. */
class Frames {
  #skip = 0
  #head: Buffer = Buffer.alloc(0)

  /** Heads of the frames that begin in these bytes. */
  take(chunk: Buffer): Buffer[] {
    const heads: Buffer[] = []
    let at = 0
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, chunk.length - at)
        this.#skip -= skipped
        at += skipped
        continue
      }
      const missing = headBytes - this.#head.length
      this.#head = Buffer.concat([this.#head, chunk.subarray(at, at + missing)])
      at += missing
      if (this.#head.length < headBytes) break
      const head = this.#head
      this.#head = Buffer.alloc(0)
      this.#skip = head.readInt32BE(0) + 4 - headBytes
      // A frame shorter than a head: what was read beyond it begins the next one.
      if (this.#skip < 0) {
        at += this.#skip
        this.#skip = 0
      }
      heads.push(head)
    }
    return heads
  }
}
