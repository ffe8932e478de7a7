import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { isOutboxError, OutboxError } from '../message/errors.ts'
import { outboxName } from '../message/tables.ts'
import { backoff } from '../running/backoff.ts'
import { type Clock, systemClock } from '../running/clock.ts'
import { isProgrammingError } from '../running/programming-error.ts'
import { stackOf } from '../running/stack-of.ts'
import { IdsRestarted, type Store, type StoreSession } from '../store/store.ts'
import type { SearchLog, Transport } from '../transport/transport.ts'
import { type DrainEnd, type DrainOptions, type DrainReport, drainBounds, drained, remainder } from './drain.ts'
import { type RelayOptions, type RelaySettings, relaySettings } from './options.ts'
import { Pipeline } from './pipeline.ts'
import { type RelayEventSource, Telemetry } from './telemetry.ts'

/** The ports of a relay, and what tests replace. */
export interface RelayPorts {
  store: Store
  transport: Transport
  /** Package version, for tables and logs. */
  version: string
  telemetry?: Telemetry
  /** Searches Kafka for records. Without it the exactly-once mode leaves a batch in doubt where only the log could tell. */
  search?: SearchLog | undefined
  clock?: Clock
  /** 0 to 1. */
  random?: () => number
  /** Rows of one fetch. More gains nothing; fewer cost CPU. @default 2000 */
  fetchRows?: number
}

/** Rows of one fetch. */
const fetchRows = 2_000

/** Milliseconds after which a stop examines the state again if nothing has raised its signal. */
const pollMs = 50

/** Time that the withdrawal of the heartbeat may take at the end, in milliseconds. */
const farewellMs = 500

/** A session that lasted so long, in milliseconds, was a good one: the next failure starts a new back-off. */
const goodSessionMs = 10_000

/** The database counts as recovered when a session has lasted so long, in milliseconds. */
const recoveredMs = 1_000

const noProducerIds = (transport: string): OutboxError =>
  new OutboxError('INVALID_OPTION', `The transport ${transport} has no producer ids, which exactlyOnce needs.`, {
    field: 'exactlyOnce',
    remedy: 'Use the transport kafkajs or platformatic, or give yours the method producerId().',
  })

/** Moves messages from the outbox to Kafka. `createRelay` makes it; it runs from `start` to `stop`, once. */
export interface Relay extends RelayEventSource, AsyncDisposable {
  /** UUID of this relay, new in each process: in events, in `status`, and as the owner of leases. */
  readonly id: string
  /** Settings with every default filled in. */
  readonly settings: Readonly<RelaySettings>
  /**
   * Starts the relay. Resolves when it serves the database for the first time; temporary faults are waited out, without a limit. Later
   * calls return the same promise.
   *
   * @throws OutboxError when this database can never serve: DATABASE_REFUSED, TABLES_MISSING, TABLE_FORMAT, READ_ONLY_DATABASE,
   *   ROW_SECURITY, SEQUENCE_BEHIND, MISSING_RIGHTS. A TypeError, ReferenceError or RangeError is a bug, and ends the relay at any time: after
   *   the start the events `internal_error` and `stopped` tell it.
   */
  start(): Promise<void>
  /**
   * Stops reading, settles what is in flight, gives the leases back and closes all connections. Resolves when that is done, or after
   * `stopTimeoutMs`. Later calls return the same promise.
   */
  stop(): Promise<void>
  /**
   * Publishes what is in the outbox now, then stops: when that is done, when waiting would not help, or at a bound. Later calls return the
   * same promise. A drain with a budget returns at most two seconds after it.
   *
   * @returns how many it published, what had to stay, and why it ended.
   * @throws OutboxError INVALID_OPTION; otherwise as `start`; the error itself if a bug has ended the relay.
   * @example
   * ```ts
   * const { published, waiting, endedBy } = await relay.drain({ budgetMs: 50_000 })
   * ```
   */
  drain(options?: DrainOptions): Promise<DrainReport>
  /** Stops the relay: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Runs its {@link Pipeline} in one database session after another, until it is stopped. */
export class RelayEngine implements Relay {
  readonly id = randomUUID()
  readonly settings: RelaySettings
  readonly telemetry: Telemetry
  readonly on: Relay['on']
  readonly #ports: RelayPorts
  readonly #clock: Clock
  /** Aborts everything at the end. */
  readonly #end = new AbortController()
  /** Aborts reading when the relay begins to stop. */
  readonly #stopReading = new AbortController()
  readonly #pipeline: Pipeline
  #session: StoreSession | undefined
  #running: Promise<void> | undefined
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #draining: Promise<DrainReport> | undefined
  #windingDown: Promise<void> | undefined
  #troubleSince: number | undefined
  /** The bug that has ended the relay. */
  #bug: Error | undefined
  /** Why everything known of ids is void, until it is told. */
  #restarted: string | undefined
  #toldOfSequence = false

  /** @throws OutboxError INVALID_OPTION */
  constructor(ports: RelayPorts, options: RelayOptions = {}) {
    this.settings = relaySettings(options)
    if (this.settings.exactlyOnce && !ports.transport.producerId) throw noProducerIds(ports.transport.name)
    // Every lane waits on it: many listeners are no leak here.
    setMaxListeners(0, this.#end.signal)
    this.#ports = ports
    this.#clock = ports.clock ?? systemClock
    this.telemetry = ports.telemetry ?? new Telemetry()
    this.on = this.telemetry.on.bind(this.telemetry)
    this.#pipeline = new Pipeline({
      id: this.id,
      settings: this.settings,
      fetchRows: ports.fetchRows ?? fetchRows,
      transport: ports.transport,
      search: ports.search,
      clock: this.#clock,
      telemetry: this.telemetry,
      random: ports.random ?? Math.random,
      signal: this.#end.signal,
    })
  }

  start(): Promise<void> {
    this.#starting ??= new Promise((resolve, reject) => {
      this.telemetry.emit('started', {
        relay: this.id,
        name: this.settings.name,
        version: this.#ports.version,
        settings: { ...this.settings },
      })
      this.#listen()
      void this.#pipeline.listenToKafka(this.#end.signal)
      // A relay that is stopped before it ever served counts as started, so that nobody waits for it forever.
      this.#running = this.#live(resolve).then(resolve, (error) => {
        this.#end.abort()
        reject(error)
        if (isProgrammingError(error)) this.#fail(error)
      })
    })
    return this.#starting
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#shutDown()
    return this.#stopping
  }

  drain(options: DrainOptions = {}): Promise<DrainReport> {
    this.#draining ??= this.#drain(options)
    return this.#draining
  }

  async #drain({ budgetMs, maxMessages, signal }: DrainOptions): Promise<DrainReport> {
    drainBounds({ budgetMs, maxMessages }, this.settings.requestTimeoutMs)
    const { state } = this.#pipeline.context
    state.maxMessages = maxMessages ?? state.maxMessages
    const until = this.#clock.now() + (budgetMs ?? Number.POSITIVE_INFINITY)
    const ending = this.#endOfDrain(until, signal)
    const ended = new Promise<DrainEnd>((resolve) => {
      if (ending.aborted) resolve(ending.reason)
      ending.addEventListener('abort', () => resolve(ending.reason))
    })
    const ask: Parameters<typeof drained>[0]['ask'] = (question) => this.#patiently(question)
    try {
      const drain = this.start().then(() => drained({ pipeline: this.#pipeline, ending, ask }))
      const endedBy = await Promise.race([ended, drain])
      if (this.#bug) throw this.#bug
      const rest = remainder(this.#pipeline)
      await this.#windDown(until)
      const waiting = endedBy === 'empty' ? 0 : await this.#waiting()
      return { published: state.acked.total, waiting, endedBy, ...rest }
    } finally {
      await this.stop()
    }
  }

  /** Aborts, with the reason, when a drain has to end before it is done: requests that are sent by then have their time to be answered. */
  #endOfDrain(until: number, signal: AbortSignal | undefined): AbortSignal {
    const ending = new AbortController()
    const abort = (end: DrainEnd) => () => ending.abort(end)
    for (const stop of [signal, this.#stopReading.signal]) {
      if (stop?.aborted) ending.abort('stopped')
      stop?.addEventListener('abort', abort('stopped'), { signal: ending.signal })
    }
    const left = until - this.#clock.now() - this.settings.requestTimeoutMs
    if (left < Number.POSITIVE_INFINITY) void this.#clock.wait(left, ending.signal).then(abort('budget'))
    return ending.signal
  }

  /** Messages that are still in the outbox; null: the database does not say. */
  #waiting(): Promise<number | null> {
    const asked = this.#patiently((session) => session.remaining(Number.MAX_SAFE_INTEGER)).catch(() => null)
    return Promise.race([asked, this.#clock.wait(farewellMs, this.#end.signal).then(() => null)])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** One session after another, until the end. */
  async #live(onServing: () => void): Promise<void> {
    let attempt = 0
    let first = true
    while (!this.#end.signal.aborted) {
      const since = this.#clock.now()
      try {
        const me = { id: this.id, name: this.settings.name, version: this.#ports.version, leaseMs: this.settings.leaseMs }
        this.#session = await this.#ports.store.connect({
          ...me,
          exactlyOnce: this.#pipeline.context.state.exactlyOnce,
          served: !first,
        })
        await this.#serve(this.#session, () => {
          if (first) void this.#tellOthers(this.#session!)
          first = false
          onServing()
        })
      } catch (error) {
        // Once it has served, no answer of the database is final: passwords are rotated, primaries fail over.
        if ((first && isOutboxError(error)) || isProgrammingError(error)) throw error
        if (error instanceof IdsRestarted) this.#restarted = error.message
        else if (!this.#end.signal.aborted) this.#troubled(error)
      }
      this.#pipeline.forget()
      attempt = this.#clock.now() - since > goodSessionMs ? 1 : attempt + 1
      await this.#clock.wait(backoff(attempt, (this.#ports.random ?? Math.random)(), { maxMs: 2_000 }), this.#end.signal)
    }
  }

  /** Lives with one session until it is lost, one of the loops fails, or the relay ends. */
  async #serve(session: StoreSession, onServing: () => void): Promise<void> {
    const over = new AbortController()
    // Every loop waits on it.
    setMaxListeners(0, over.signal)
    const abort = () => over.abort()
    this.#end.signal.addEventListener('abort', abort)
    // Stopped while the connection was being made: that event is over.
    if (this.#end.signal.aborted) abort()
    const reading = AbortSignal.any([over.signal, this.#stopReading.signal])
    let loops: Promise<void>[] = []
    try {
      if (over.signal.aborted) return
      await this.#pipeline.leases.retake(session)
      this.#tellIds(session)
      onServing()
      // A session that breaks again at once was no recovery: log lines would come in pairs forever.
      void this.#clock.wait(recoveredMs, over.signal).then(() => over.signal.aborted || this.#recovered())
      loops = this.#pipeline.run(session, { reading, over: over.signal })
      const [leases] = loops
      const failed = session.lost.then((error) => {
        throw error
      })
      // The leases end alone when the next session has to be of the other mode.
      await Promise.race([failed, Promise.all(loops), leases])
    } finally {
      over.abort()
      this.#end.signal.removeEventListener('abort', abort)
      await session.close()
      // A loop of the old session must not act on what belongs to the next.
      await Promise.allSettled(loops)
      if (this.#session === session) this.#session = undefined
    }
  }

  #listen(): void {
    const pipeline = this.#pipeline
    this.#ports.store.listen(
      (payload) => pipeline.notifications.notified(payload),
      () => pipeline.notifications.lost(),
      this.#end.signal,
    )
  }

  /** Tells that ids have restarted, and that the sequence is behind, each once; the buckets have been taken again by then. */
  #tellIds({ behind }: StoreSession): void {
    const error = this.#restarted ?? (this.#toldOfSequence ? undefined : behind?.message)
    this.#restarted = undefined
    this.#toldOfSequence = behind !== undefined
    if (error !== undefined) this.telemetry.emit('ids_restarted', { error, remedy: behind?.remedy ?? null })
  }

  /** Once, beside the work: a database that does not answer is told by the loops. */
  async #tellOthers(session: StoreSession): Promise<void> {
    const others = (await session.otherOutboxes?.().catch(() => undefined)) ?? []
    if (others.length > 0) this.telemetry.emit('outboxes_without_relay', { outboxes: others.map(outboxName) })
  }

  #troubled(error: unknown): void {
    if (this.#troubleSince !== undefined) return
    this.#troubleSince = this.#clock.now()
    const { code, message } = error as { code?: string; message?: string }
    this.telemetry.emit('database_trouble', { code: code ?? 'UNKNOWN', error: message ?? 'unknown' })
  }

  /** A bug is no trouble of a server: another session would meet it again. The buckets go to others when their leases run out. */
  #fail(error: Error): void {
    this.#bug = error
    this.telemetry.emit('internal_error', { during: 'relay', error: stackOf(error) })
    void this.stop()
  }

  #recovered(): void {
    if (this.#troubleSince === undefined) return
    this.telemetry.emit('database_recovered', { ms: Math.round(this.#clock.now() - this.#troubleSince) })
    this.#troubleSince = undefined
  }

  async #shutDown(): Promise<void> {
    this.#stopReading.abort()
    await this.#windDown(this.#clock.now() + this.settings.stopTimeoutMs)
    const { locked } = this.#pipeline.context.state
    const clean = this.#bug === undefined && !this.#busy && locked.size === 0
    // A statement that waits for a lock, or for a network that is gone, may take many seconds more: the time is over, and what is left
    // behind, leases and heartbeat, runs out on its own.
    const farewell = this.#session?.farewell().catch(() => {})
    await Promise.race([farewell, this.#clock.wait(farewellMs, this.#end.signal)])
    this.#end.abort()
    await this.#session?.close()
    await this.#ports.transport.close()
    await this.#running
    this.telemetry.emit('stopped', { relay: this.id, clean })
  }

  /** Gives the leases back, each when nothing of its bucket is in flight; ends at `until`, or after `stopTimeoutMs` if that is sooner. */
  #windDown(until: number): Promise<void> {
    this.#windingDown ??= this.#giveBack(Math.min(until, this.#clock.now() + this.settings.stopTimeoutMs))
    return this.#windingDown
  }

  async #giveBack(until: number): Promise<void> {
    this.#pipeline.leases.leaveAll()
    while (this.#running && !this.#end.signal.aborted && this.#busy && this.#clock.now() < until) {
      await this.#pipeline.context.state.rested.wait(this.#end.signal, pollMs)
    }
  }

  get #busy(): boolean {
    const { claims, inFlight } = this.#pipeline.context.state
    return claims.size > 0 || inFlight.size > 0 || this.#pipeline.leases.claiming
  }

  /** Asks the database, again in the next session if this one breaks. */
  async #patiently<T>(ask: (session: StoreSession) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        if (this.#session) return await ask(this.#session)
      } catch (error) {
        if (isProgrammingError(error)) throw error
        // The loops see the same fault, and tell it.
      }
      if (this.#end.signal.aborted) throw this.#bug ?? new Error('The relay was stopped.')
      await this.#clock.wait(pollMs, this.#end.signal)
    }
  }
}
