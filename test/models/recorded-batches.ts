import type { Model, Move } from './explore.ts'
import { type Doing, doingsOf, loseSession } from './relay.ts'
import { carryOut, failLeader, replicate } from './servers.ts'
import { type Budget, brokenPromise, type Rows, relayOf, type State } from './state.ts'

/** What a model has, and what it lacks. */
export interface Setting {
  /** Rows that are in the outbox at the beginning, and those whose transaction commits later. */
  rows: Rows
  late?: Rows
  /** Rows that the broker refuses from the beginning, and those that it refuses once its limit was lowered. */
  refused?: Rows
  refusedLater?: Rows
  left: Partial<Budget>
  /** The part of a rule that is left out. */
  mutant?: string
}

const none: Budget = { take: 0, crash: 0, expire: 0, lose: 0, fail: 0, forget: 0, lag: 0, lower: 0, raise: 0 }

/**
 * The exactly-once mode: two relays with one lane each, two buckets that lead to one partition, PostgreSQL, and a leader with replicas. Every
 * request is answered, or carried out without its answer arriving, or carried out when its sender has gone on. A pause of a relay needs no move of
 * its own, since each of its steps may come as late as it likes. Rules 21, 26, 27 and 28 of docs/protocol-exactly-once.md.
 *
 * Not in here: several lanes, queued rows, renewals, epochs of producer ids, modes, and a PostgreSQL that loses commits.
 */
export function recordedBatches({ rows, late = 0, refused = 0, refusedLater = 0, left, mutant }: Setting): Model<State> {
  const initial: State = {
    leases: [0, 1].map(() => ({ owner: -1, epoch: 0 })),
    ...{ outbox: rows, late, dead: 0, records: [], log: [], known: {}, refused, refusedLater, underway: [], producers: 0 },
    relays: [relayOf(0), relayOf(1)],
    left: { ...none, ...left },
  }
  const moves = (state: State): Move<State>[] => {
    const found: Move<State>[] = []
    // States are plain JSON, and small: faster than structuredClone.
    const text = JSON.stringify(state)
    const may = (label: string, change: (now: State) => void) => {
      const make = () => {
        const now = JSON.parse(text) as State
        change(now)
        return now
      }
      found.push({ label, make })
    }
    relaysMove(state, may, mutant)
    requestsArrive(state, may, mutant)
    serversMove(state, may)
    return found
  }
  return { initial, moves, violation: (state) => brokenPromise(state, rows | late) }
}

type May = (label: string, change: (now: State) => void) => void

function relaysMove(state: State, may: May, mutant: string | undefined): void {
  for (const [i, relay] of state.relays.entries()) {
    for (const doing of doingsOf(state, relay, mutant)) relayMoves(state, i, doing, may, mutant)
    if (state.left.crash === 0 || relay.at === 'take') continue
    may(`relay ${i} crashes before it ${relay.at}s`, ({ left, relays }) => {
      left.crash--
      relays[i] = relayOf(relay.owner + 2)
    })
  }
}

function relayMoves(
  state: State,
  i: number,
  { label, request, go, without = loseSession }: Doing,
  may: May,
  mutant?: string,
): void {
  const who = `relay ${i} ${label}`
  may(who, (now) => go(now, now.relays[i]!, request ? carryOut(now, request, mutant) : { is: 'done' }))
  if (!request || state.left.lose === 0) return
  may(`${who}, without an answer`, (now) => {
    now.left.lose--
    carryOut(now, request, mutant)
    without(now, now.relays[i]!)
  })
  may(`${who}, which arrives later`, (now) => {
    now.left.lose--
    now.underway.push(request)
    without(now, now.relays[i]!)
  })
}

function requestsArrive({ underway }: State, may: May, mutant: string | undefined): void {
  for (const [at, request] of underway.entries()) {
    may(`late: ${request.what}`, (now) => {
      now.underway.splice(at, 1)
      carryOut(now, request, mutant)
    })
  }
}

function serversMove(state: State, may: May): void {
  const { left, leases, relays, log, late, refused, refusedLater, known } = state
  if (late) {
    may('a transaction commits', (now) => {
      now.outbox |= now.late
      now.late = 0
    })
  }
  for (const [bucket, { owner }] of leases.entries()) {
    const lives = relays.some((relay) => relay.owner === owner)
    if (owner === -1 || (lives && left.expire === 0)) continue
    may(`the lease of bucket ${bucket} ends`, (now) => {
      if (lives) now.left.expire--
      now.leases[bucket]!.owner = -1
    })
  }
  const rare = (of: keyof Budget, label: string, change: (now: State) => void) => {
    if (left[of] > 0)
      may(label, (now) => {
        now.left[of]--
        change(now)
      })
  }
  if (log.some(({ replicated }) => !replicated)) may('the replicas catch up', replicate)
  rare('fail', 'the leader fails', failLeader)
  for (const producer of Object.keys(known))
    rare('forget', `the partition forgets producer ${producer}`, (now) => delete now.known[Number(producer)])
  if (refusedLater) {
    rare('lower', 'a limit is lowered', (now) => Object.assign(now, { refused: refusedLater, refusedLater: 0 }))
  }
  if (refused) rare('raise', 'a limit is raised', (now) => Object.assign(now, { refused: 0 }))
}
