import { nameOf as batchName } from '../../../src/relay/settle/settlement.ts'
import type { RelayEvent } from '../../../src/relay/telemetry.ts'
import type { OutboxRow, RowName } from '../../../src/store/store.ts'
import type { TransportBatch } from '../../../src/transport/transport.ts'
import { type Database, keyOf, nameOf } from './database.ts'
import type { Process, World } from './world.ts'

/** A message of the application, and what became of it. */
interface Message {
  row: OutboxRow
  /** Places on one scale: when its INSERT drew the id, when its transaction was over, when it stood in the log first. */
  drawn: number
  committed: number
  first: number
  copies: number
  /** Of the transaction. */
  vxid: string
  fate: 'open' | 'committed' | 'rolled back' | 'lost'
  discarded: boolean
}

/** A produce request that may still be appended. */
export interface Request {
  readonly process: Process
  readonly batch: TransportBatch
  /** World time after which the relay may take it for over. */
  readonly until: number
  open: boolean
  answered: boolean
}

/** Sees everything that the models see, and knows what may not be. */
export class Judge {
  readonly messages = new Map<string, Message>()
  readonly requests = new Set<Request>()
  /** Whether something happened after which copies are allowed. */
  faulty = false
  /** Relays record batches before they send them: no copies, whatever happens. */
  exactlyOnce = false
  /** The database's clock was turned: a lease may end before its owner knows. */
  turned = false
  /** The number of partitions changed: order across the change is not promised (rule 20). */
  moved = false
  /** Sizes over this may be dead-lettered without a refusal. */
  readonly maxRowBytes: number
  onNotify: (payload: string) => void = () => {}
  readonly #world: World
  readonly #db: Database
  /** Messages that were sent under each set of numbers. */
  readonly #contents = new Map<string, string>()
  /** The only relay so far: it lets go of nothing as long as it keeps its leases. */
  #only: Process | undefined
  /** A batch with an unknown outcome may have been let go of: another relay, or a refusal that splits it. */
  #letsGo = false
  #doubted = false
  readonly #acked = new Map<Process, Set<string>>()
  readonly #refused = new Set<string>()
  #place = 0

  constructor(world: World, db: Database, maxRowBytes: number) {
    this.#world = world
    this.#db = db
    this.maxRowBytes = maxRowBytes
  }

  written(row: OutboxRow, vxid: string): void {
    const fresh = { committed: Number.POSITIVE_INFINITY, first: Number.POSITIVE_INFINITY, copies: 0 }
    this.messages.set(row.messageId, { row, vxid, drawn: ++this.#place, ...fresh, fate: 'open', discarded: false })
  }

  over(rows: readonly OutboxRow[], fate: 'committed' | 'rolled back' | 'lost'): void {
    const place = ++this.#place
    for (const { messageId } of rows) Object.assign(this.messages.get(messageId)!, { fate, committed: place })
  }

  notified(payload: string): void {
    this.onNotify(payload)
  }

  discarded(messageId: string): void {
    this.messages.get(messageId)!.discarded = true
  }

  /** What a relay tells. */
  told(process: Process, event: RelayEvent, fields: object): void {
    if (event === 'row_found_below_position') this.#world.violated(`${process.name} found a row below its position`)
    if (event === 'sequence_lost') this.#world.violated(`${process.name} sent numbers that were not the next ones`)
    if (event === 'internal_error') this.#world.violated(`${process.name} tells of a bug`)
    this.#only ??= process
    if (event === 'publish_failed' && (fields as { kind: string }).kind === 'unknown') this.#doubted = true
    if (event === 'leases_lost' || event === 'database_trouble') this.faulty = true
    if (this.#only !== process) this.letsGo()
    if (this.#doubted && this.#letsGo) this.faulty = true
  }

  /** From now on an unknown outcome may make copies: it is no longer one relay alone that keeps what it has sent. */
  letsGo(): void {
    this.#letsGo = true
    if (this.#doubted) this.faulty = true
  }

  publishing(process: Process, relay: string, batch: TransportBatch, timeoutMs: number): Request {
    const same = ({ topic, partition }: TransportBatch) => topic === batch.topic && partition === batch.partition
    for (const other of this.requests) {
      if (other.process === process && !other.answered && same(other.batch))
        this.#world.violated(`${process.name} has two requests to one partition on their way`)
    }
    this.#sameContent(process, batch)
    for (const record of batch.records) {
      const { row } = this.messages.get(record.headers.id!)!
      const lease = this.#db.leases[row.bucket]!
      if (record.value === null) this.#world.violated(`${process.name} sends a row without the value that it did not load`)
      // A recorded batch may be sent by anybody, at any time, and has one content.
      if (this.turned || this.exactlyOnce) continue
      if (lease.owner !== relay) this.#world.violated(`${process.name} sends ${row.id} of a bucket that it does not own`)
      else if (lease.until < this.#db.now + timeoutMs)
        this.#world.violated(`${process.name} sends ${row.id} ${timeoutMs} ms before the lease ends`)
    }
    const request = { process, batch, until: this.#world.now + timeoutMs, open: true, answered: false }
    this.requests.add(request)
    return request
  }

  #sameContent(process: Process, { topic, partition, numbers, records }: TransportBatch): void {
    if (!numbers && this.exactlyOnce) this.#world.violated(`${process.name} sends a batch without numbers`)
    if (!numbers) return
    if (this.exactlyOnce && !this.#db.recorded.has(batchName({ topic, partition, ...numbers })))
      this.#world.violated(`${process.name} sends a batch that it has not recorded`)
    const name = `${topic}/${partition} ${numbers.producerId}/${numbers.epoch}/${numbers.sequence}`
    const content = records.map(({ headers }) => headers.id).join()
    if ((this.#contents.get(name) ?? content) !== content)
      this.#world.violated(`${process.name} sends other rows under numbers of a batch`)
    this.#contents.set(name, content)
  }

  released(process: Process, bucket: number): void {
    for (const { process: own, batch, until, open } of this.requests) {
      if (own !== process || !open || until <= this.#world.now) continue
      if (batch.records.some((record) => this.messages.get(record.headers.id!)!.row.bucket === bucket))
        this.#world.violated(`${process.name} gives bucket ${bucket} back while a request may still be appended`)
    }
  }

  acked(process: Process, batch: TransportBatch): void {
    this.#has(
      process,
      batch.records.map(({ headers }) => headers.id!),
    )
  }

  /** A relay searches the log; returns how many of these messages are there. */
  searched(process: Process, messageIds: readonly string[]): number {
    const found = messageIds.filter((id) => this.messages.get(id)!.copies > 0)
    if (found.length === messageIds.length) this.#has(process, found)
    return found.length
  }

  #has(process: Process, messageIds: readonly string[]): void {
    const acked = this.#acked.get(process) ?? new Set()
    this.#acked.set(process, acked)
    for (const id of messageIds) acked.add(id)
  }

  refused(messageId: string): void {
    this.#refused.add(messageId)
  }

  settled(process: Process, { messageId }: RowName): void {
    if (!this.#acked.get(process)?.has(messageId)) this.#world.violated(`${process.name} settles what Kafka has not acknowledged`)
  }

  parking({ messageId }: RowName): void {
    const message = this.messages.get(messageId)!
    if (!this.#parkable(message)) this.#world.violated(`${message.row.id} is dead-lettered, and Kafka has not refused it`)
  }

  #parkable({ row }: Message): boolean {
    return this.#refused.has(row.messageId) || row.bytes > this.maxRowBytes
  }

  appended(process: Process, batch: TransportBatch): void {
    for (const { headers } of batch.records) {
      const message = this.messages.get(headers.id!)!
      message.copies++
      if (message.fate === 'open' || message.fate === 'rolled back')
        this.#world.violated(`${process.name} publishes ${message.row.id}, which was not committed`)
      if (message.copies > 1) {
        if (!this.faulty || this.exactlyOnce)
          this.#world.violated(`${process.name} publishes ${message.row.id} twice without any fault`)
        continue
      }
      message.first = ++this.#place
      if (message.fate === 'committed') this.#inOrder(process, message)
    }
  }

  #inOrder(process: Process, later: Message): void {
    if (this.moved) return
    for (const one of this.messages.values()) {
      if (one.fate !== 'committed' || one.copies > 0 || one.discarded || keyOf(one.row) !== keyOf(later.row)) continue
      const before = one.vxid === later.vxid ? one.row.id < later.row.id : one.committed < later.drawn
      // What has no key holds nothing behind it.
      if (!before || (one.row.key === null && this.#parkable(one))) continue
      this.#world.violated(`${process.name} publishes ${later.row.id} of ${keyOf(later.row)} before ${one.row.id}`)
    }
  }

  /** What must hold at every moment. */
  look(): void {
    const dead = new Set(this.#db.dead.map(({ row }) => row.messageId))
    for (const { row, fate, copies, discarded } of this.messages.values()) {
      if (fate !== 'committed' || copies > 0 || discarded || dead.has(row.messageId)) continue
      if (this.#db.outbox.get(nameOf(row))?.messageId !== row.messageId) this.#world.violated(`${row.id} is lost`)
    }
    for (const { row, reason } of this.#db.dead) {
      const head = this.#db.dead.some((one) => this.#db.isHead(one) && keyOf(one.row) === keyOf(row) && one.row.id < row.id)
      if (reason === null && !head && !this.#db.dead.some((one) => one.row === row && one.action !== null))
        this.#world.violated(`${row.id} waits behind nothing`)
    }
  }

  /** What must hold when everything was healed. */
  close(): void {
    for (const { row, fate, copies, discarded } of this.messages.values()) {
      if (fate === 'committed' && !discarded && copies === 0) this.#world.violated(`${row.id} never came`)
    }
  }
}
