import type { BlockedKeyPosition, Lease, Pulse, RecordedBatch, StoreSession } from '../../store/store.ts'
import type { RelayContext } from '../context.ts'
import type { Topics } from '../publish/topics.ts'
import { troubleOf } from '../publish/trouble.ts'
import type { Adoption } from '../settle/adoption.ts'
import { Claim, type Claims } from '../state/claim.ts'
import { type Answers, askAfter, askAgain } from './answers.ts'
import { endClaims, letGoOf } from './end-claims.ts'
import { PeerAhead, shareStep } from './share.ts'

/** Emit `relays_dying` after this many deaths within this window. */
const deathsToTell = 3
const deathsWithinMs = 600_000

/** Lease times without an acknowledgement, while rows wait and a peer has one, after which a relay gives up its buckets, and for how many. */
const refusedLeases = 3

/** A relay renews its leases after its heartbeat, in milliseconds at most: they end so much later. */
const graceMs = 50

const numbersOf = (claims: readonly Lease[]): number[] => claims.map((claim) => claim.bucket)

/**
 * Keeps this relay's fair share of the buckets: claims, renews, gives back. Keeps rules 3, 7 and 15 of docs/protocol.md, and 29 of docs/protocol-exactly-once.md.
 */
export class Leases {
  readonly #context: RelayContext
  readonly #topics: Topics
  readonly #answers: Answers
  /** Of the exactly-once mode; undefined: the transport does not allow it. */
  readonly #adoption: Adoption | undefined
  /** Milliseconds between two heartbeats. */
  readonly #tickMs: number
  /** Buckets that were taken, while their blocked keys are being loaded: nobody else knows of them yet. */
  #loading: Claim[] = []
  #loadFrom: BlockedKeyPosition | undefined
  #renewedAt = Number.NEGATIVE_INFINITY
  #abstainUntil = Number.NEGATIVE_INFINITY
  /** Since when this relay has had buckets, on its clock. */
  #takenAt = Number.NEGATIVE_INFINITY
  /** The leases have the other mode. */
  #standsBy = false
  /** The mode of the relay has changed, or will when the buckets are given back: the session ends then. */
  #changing = false
  /** Peers whose answers, and whose acknowledgements, are ahead of this relay's. Both are asked at each heartbeat. */
  readonly #answeredPeer: PeerAhead
  readonly #ackedPeer: PeerAhead
  /** When nothing waited last, on the relay's clock. */
  #idleAt = Number.NEGATIVE_INFINITY
  #closing = false
  #claiming = false
  #ticks = 0
  /** Milliseconds until another relay counts as dead, if it gives no other sign of life. */
  #peerEndsInMs = Number.POSITIVE_INFINITY

  constructor(context: RelayContext, topics: Topics, answers: Answers, adoption?: Adoption) {
    this.#context = context
    this.#topics = topics
    this.#answers = answers
    this.#adoption = adoption
    const { leaseMs } = context.settings
    this.#tickMs = Math.min(1_000, Math.floor(leaseMs / 10))
    this.#answeredPeer = new PeerAhead({ leadMs: leaseMs * (askAfter + askAgain), freshMs: leaseMs })
    this.#ackedPeer = new PeerAhead({ leadMs: leaseMs, freshMs: refusedLeases * leaseMs })
  }

  /** Heartbeats written in this session. */
  get ticks(): number {
    return this.#ticks
  }

  /** Whether buckets are being claimed at this moment: the table may already have them. */
  get claiming(): boolean {
    return this.#claiming || this.#loading.length > 0
  }

  /** Whether the relay is about to change its mode: what it has not got now it takes afterwards. */
  get changing(): boolean {
    return this.#changing
  }

  /** From now on buckets are only given back. */
  leaveAll(): void {
    this.#closing = true
    for (const claim of this.#loading.splice(0)) this.#claims.add(claim)
    this.#leave(this.#claims.all)
    this.#context.state.releasable.raise()
  }

  /** Forgets all claims without a word: the connections they were made with are gone. */
  forget(): void {
    endClaims(this.#context, this.#topics, this.#claims.all)
    this.#loading = []
    this.#changing = false
    this.#ticks = 0
    this.#renewedAt = Number.NEGATIVE_INFINITY
  }

  /** Claims what this relay already owns, under new epochs: statements of an older session cannot write any more. */
  async retake(session: StoreSession): Promise<void> {
    await this.#claim(session, () => session.retake())
  }

  /** Resolves at the end of the session, or when the next one has to be of the other mode. */
  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { exactlyOnce } = this.#context.state
      await this.#tick(session)
      if (this.#context.state.exactlyOnce !== exactlyOnce) return
      if (this.#loading.length > 0) continue
      this.#ticks++
      this.#context.state.rested.raise()
      // A whole tick later the buckets of a relay that died would stand still for more than a second beyond the lease.
      await this.#context.state.releasable.wait(signal, Math.min(this.#tickMs, this.#peerEndsInMs + graceMs))
    }
  }

  async #tick(session: StoreSession): Promise<void> {
    const { clock, telemetry, state } = this.#context
    const { claims, inFlight } = state
    const ackedAt = this.#context.state.acked.lastAt
    const now = clock.now()
    const abstaining = now < this.#abstainUntil
    const pulse = await session.beat({
      alive: !this.#closing,
      ackedMsAgo: ackedAt === undefined ? null : now - ackedAt,
      answeredMsAgo: abstaining ? null : this.#answers.msAgo,
      trouble: troubleOf(this.#topics.all),
    })
    this.#peerEndsInMs = pulse.peerEndsInMs ?? Number.POSITIVE_INFINITY
    await this.#renew(session)
    this.#expire()
    await this.#release(session)
    await this.#load(session)
    const read = { inFlight: inFlight.size, inFlightBytes: inFlight.bytes }
    telemetry.emit('heartbeat', { relays: pulse.relays, owned: claims.size, ...read, silentMs: this.#answers.silentMs })
    if (abstaining || this.#closing) return
    if (this.#changing || this.#hasPublishedForeign()) return this.#giveBack()
    if (this.#yields(pulse)) return this.#giveUp()
    this.#giveUpIfRefused(pulse)
    if (this.#loading.length > 0) return
    const step = shareStep(claims.all.filter((claim) => !claim.leaving).length, this.#sharers(pulse))
    // Relays that start together may each take all that is free: the shares even out with the next heartbeats.
    if (step.take > 0 && clock.now() >= this.#abstainUntil) {
      const take = () => this.#claim(session, () => session.take(step.take))
      let taken = await take()
      if (taken.length === 0 && claims.size === 0 && (await this.#enterMode(session))) taken = await take()
      await this.#warnOfDeaths(
        session,
        taken.filter((lease) => lease.abandoned),
      )
    }
    if (step.leave > 0) {
      const stay = claims.all.filter((claim) => !claim.leaving).sort((a, b) => a.bucket - b.bucket)
      this.#leave(stay.slice(-step.leave))
    }
  }

  async #claim<L extends Lease>(session: StoreSession, statement: () => Promise<L[]>): Promise<L[]> {
    const { clock, settings, state } = this.#context
    const { claims } = state
    const { leaseMs } = settings
    const before = clock.now()
    this.#claiming = true
    const granted = await statement().finally(() => {
      this.#claiming = false
    })
    if (granted.length === 0) return granted
    if (claims.size === 0) this.#takenAt = clock.now()
    // Of our own the lease had run out by the time of the statement: rows that stayed under the old claim would be sent under none.
    const former = granted.flatMap(({ bucket }) => claims.get(bucket) ?? [])
    this.#end(former, 'leases_lost')
    this.#loading = granted.map((lease) => new Claim(lease, before + leaseMs)).sort((a, b) => a.bucket - b.bucket)
    this.#loadFrom = undefined
    await this.#load(session)
    return granted
  }

  /**
   * All buckets are another relay's, or of the other mode: then this relay waits until no lease of that mode runs. If only recorded batches are left, a
   * plain relay changes its own mode, publishes them, and changes it again (rule 29).
   */
  async #enterMode(session: StoreSession): Promise<boolean> {
    const { settings, state, telemetry } = this.#context
    const { exactlyOnce } = settings
    const entry = await session.enterMode()
    if (entry === 'recorded' && this.#adoption && !this.#closing) {
      this.#changing = true
      state.exactlyOnce = true
      return false
    }
    const standsBy = entry !== 'entered'
    if (standsBy && !this.#standsBy) telemetry.emit('standing_by', { exactlyOnce })
    this.#standsBy = standsBy
    return !standsBy
  }

  /** Loads blocked keys, in portions and for one tick at most: with a million of them, leases must be renewed in between. */
  async #load(session: StoreSession): Promise<void> {
    const { clock } = this.#context
    const until = clock.now() + this.#tickMs
    while (this.#loading.length > 0 && clock.now() < until) {
      const { keys, next } = await session.blockedKeys(numbersOf(this.#loading), this.#loadFrom)
      const claims = new Map(this.#loading.map((claim) => [claim.bucket, claim]))
      for (const blockedKey of keys) claims.get(blockedKey.bucket)?.put(blockedKey)
      this.#loadFrom = next
      const loaded = this.#loading.filter(({ bucket }) => next === undefined || bucket < next.bucket)
      for (const blockedKey of await session.restartedBlockedKeys(numbersOf(loaded)))
        claims.get(blockedKey.bucket)?.put(blockedKey)
      this.#begin(loaded, await this.#recorded(session, loaded))
    }
  }

  async #recorded(session: StoreSession, loaded: readonly Claim[]): Promise<RecordedBatch[]> {
    return this.#context.state.exactlyOnce && this.#adoption ? this.#adoption.read(session, numbersOf(loaded)) : []
  }

  /** Whether a plain relay has published what it changed its mode for: after the first heartbeat it knows of all. */
  #hasPublishedForeign(): boolean {
    const { settings, state } = this.#context
    return state.exactlyOnce && !settings.exactlyOnce && this.#ticks > 0 && this.#loading.length === 0 && this.#adoption!.isDone
  }

  /** Gives everything back, and changes the mode when nothing is left. */
  #giveBack(): void {
    this.#changing = true
    this.#leave(this.#claims.all)
    if (this.#claims.size === 0) this.#context.state.exactlyOnce = this.#context.settings.exactlyOnce
  }

  /** What is known of these buckets suffices to work on them. */
  #begin(loaded: readonly Claim[], batches: readonly RecordedBatch[]): void {
    const { telemetry, state } = this.#context
    const { claims } = state
    const begun = loaded.filter((claim) => this.#loading.includes(claim))
    if (begun.length === 0) return
    this.#loading = this.#loading.filter((claim) => !begun.includes(claim))
    for (const claim of begun) claims.add(claim)
    this.#adoption?.hand(batches)
    if (this.#closing) this.#leave(claims.all)
    telemetry.emit('leases_taken', { buckets: numbersOf(begun), owned: claims.size })
    // There may be rows to read, and requests that nobody was there to hear of.
    state.positions.changed.raise()
    state.moves.requested()
  }

  /** One relay may die of anything. Where its successors die too, a message that none of them survives is the likeliest cause. */
  async #warnOfDeaths(session: StoreSession, abandoned: readonly Lease[]): Promise<void> {
    if (abandoned.length === 0) return
    const deaths = await session.deaths(deathsWithinMs)
    if (deaths < deathsToTell) return
    const { telemetry, state } = this.#context
    telemetry.emit('relays_dying', { deaths, withinMs: deathsWithinMs, buckets: numbersOf(abandoned), owned: state.claims.size })
  }

  async #renew(session: StoreSession): Promise<void> {
    const { clock, settings, state } = this.#context
    const { claims } = state
    const { leaseMs } = settings
    const before = clock.now()
    const asked = [...claims.all, ...this.#loading]
    if (asked.length === 0 || before - this.#renewedAt < leaseMs / 3 - this.#tickMs / 2) return
    const renewed = new Map((await session.renew(asked)).map((lease) => [lease.bucket, lease.epoch]))
    for (const claim of asked) if (renewed.get(claim.bucket) === claim.epoch) claim.deadline = before + leaseMs
    const missing = asked.filter((claim) => claim.alive && renewed.get(claim.bucket) !== claim.epoch)
    this.#renewedAt = missing.length === 0 ? before : this.#renewedAt
    if (missing.length === 0) return
    // Skipped because somebody (perhaps our own dead-letter) has locked the row, or lost: the table knows.
    const owned = new Map((await session.owned()).map((lease) => [lease.bucket, lease.epoch]))
    const lost = missing.filter((claim) => claim.alive && owned.get(claim.bucket) !== claim.epoch)
    if (lost.length > 0) this.#end(lost, 'leases_lost')
  }

  #expire(): void {
    const now = this.#context.clock.now()
    const over = [...this.#claims.all, ...this.#loading].filter((claim) => claim.deadline <= now)
    if (over.length > 0) this.#end(over, 'leases_lost')
  }

  async #release(session: StoreSession): Promise<void> {
    const ready = this.#claims.all.filter((claim) => claim.leaving && this.#context.state.isIdle(claim))
    if (ready.length === 0) return
    // One whose row somebody has locked is given back at a later tick.
    const released = new Set(await session.release(ready))
    this.#end(
      ready.filter((claim) => released.has(claim.bucket)),
      'leases_released',
    )
  }

  /**
   * Whether the buckets belong to peers (rule 5): no broker has answered for one lease time, nor did one when it was asked after a peer had
   * said that it was answered.
   */
  #yields({ peerAnsweredMsAgo }: Pulse): boolean {
    const answers = this.#answers
    const now = this.#context.clock.now()
    const since = this.#answeredPeer.since({
      now,
      ownAt: now - answers.silentMs,
      peerMsAgo: peerAnsweredMsAgo,
      asked: answers.asked,
    })
    return since !== undefined && answers.silentMs >= this.#context.settings.leaseMs && answers.failedSince(since)
  }

  /** Relays that share the buckets, this one included. If no broker answers any of them, all do: operator requests must be carried out. */
  #sharers({ relays, peerAnsweredMsAgo, sharing }: Pulse): number {
    const { leaseMs } = this.#context.settings
    return Math.min(peerAnsweredMsAgo ?? leaseMs, this.#answers.silentMs) < leaseMs ? sharing + 1 : relays
  }

  /** Brokers answer, but none acknowledges anything, as without rights or with addresses that lead nowhere; a peer is acknowledged. */
  #giveUpIfRefused({ peerAckedMsAgo }: Pulse): void {
    const { clock, settings, state } = this.#context
    const now = clock.now()
    const abstainMs = refusedLeases * settings.leaseMs
    if (!this.#topics.waiting) this.#idleAt = now
    const ownAt = Math.max(this.#takenAt, this.#idleAt, state.acked.lastAt ?? Number.NEGATIVE_INFINITY)
    const since = this.#ackedPeer.since({ now, ownAt, peerMsAgo: peerAckedMsAgo, asked: this.#answers.asked })
    if (since === undefined || now - ownAt < abstainMs || !this.#answers.refusedSince(since)) return
    this.#abstainUntil = now + abstainMs
    this.#giveUp()
  }

  #giveUp(): void {
    const { telemetry, state } = this.#context
    const { claims } = state
    const staying = claims.all.filter((claim) => !claim.leaving)
    if (staying.length > 0) telemetry.emit('gave_up', { buckets: numbersOf(staying), owned: claims.size })
    this.#leave(staying)
  }

  #leave(claims: readonly Claim[]): void {
    const going = claims.filter((claim) => !claim.leaving)
    for (const claim of going) claim.leaving = true
    if (going.length > 0) letGoOf(this.#context, this.#topics, going)
  }

  #end(over: readonly Claim[], event: 'leases_lost' | 'leases_released'): void {
    const begun = over.filter((claim) => !this.#loading.includes(claim))
    this.#loading = this.#loading.filter((claim) => !over.includes(claim))
    const ended = endClaims(this.#context, this.#topics, begun)
    if (ended.length > 0) this.#context.telemetry.emit(event, { buckets: numbersOf(ended), owned: this.#claims.size })
  }

  get #claims(): Claims {
    return this.#context.state.claims
  }
}
