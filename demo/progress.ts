/** An inbox or a projection: their events differ. */
interface Consumer {
  on(name: '*', handler: (name: string, event: object) => void): () => void
}

/** Counts what a consumer of the shop has applied. */
export class Progress {
  /** Messages that it has applied, each counted once. */
  applied = 0
  /** Copies that it recognized. */
  copies = 0
  /** Resolves when the consumer has partitions: it then keeps up, and does not take the CPU of the first orders for its start. */
  readonly ready: Promise<void>

  constructor(consumer: Consumer) {
    let ready = () => {}
    this.ready = new Promise((resolve) => {
      ready = resolve
    })
    const hear = (event: string, fields: object) => {
      if (event === 'partitions_assigned') ready()
      // An inbox tells of messages and copies, a projection of records.
      const { messages = 0, copies = 0, records = 0 } = fields as { messages?: number; copies?: number; records?: number }
      if (event !== 'applied' && event !== 'projected') return
      this.applied += messages + records
      this.copies += copies
    }
    consumer.on('*', hear)
  }
}
