/** What `pg` hands to a submitted query while it runs. */
interface Connection {
  query(text: string): void
  sync?(): void
}

/** Bytes before the first tuple: signature, flags, length of the extension (which is always empty). */
const headerBytes = 19

/**
 * `COPY … TO STDOUT (FORMAT binary)` as a query object for `pg`. Each CopyData message of the server is one tuple; `onRow` gets the
 * message's bytes and the place of the first field. The bytes are only valid during the call: `pg` reuses its read buffer.
 */
export class CopyOut {
  readonly #text: string
  readonly #onRow: (data: Buffer, at: number) => void
  readonly done: Promise<void>
  #resolve!: () => void
  #reject!: (error: Error) => void
  #first = true
  #error: Error | undefined

  constructor(text: string, onRow: (data: Buffer, at: number) => void) {
    this.#text = text
    this.#onRow = onRow
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: Connection): void {
    connection.query(this.#text)
  }

  handleCopyData(message: { chunk: Buffer }): void {
    const { chunk } = message
    let at = 0
    if (this.#first) {
      this.#first = false
      at = headerBytes
    }
    // The trailer is a field count of -1; a message may hold header and trailer only.
    if (at + 2 > chunk.length || chunk.readInt16BE(at) < 0) return
    try {
      this.#onRow(chunk, at + 2)
    } catch (error) {
      // Thrown on, it would end the process from inside the socket's handler.
      this.#error ??= error as Error
    }
  }

  handleReadyForQuery(): void {
    if (this.#error) this.#reject(this.#error)
    else this.#resolve()
  }

  handleError(error: Error): void {
    this.#error = error
    this.#reject(error)
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyInResponse(): void {}
  handleCopyOutResponse(): void {}
}
