import { type Answer, bitsOf, foundIn, replicate } from './servers.ts'
import { type Batch, isSame, type Relay, type Request, type Rows, rowsIn, rowsOfBuckets, type State } from './state.ts'

/** The mutant that loses messages: a partition drops other rows under known numbers. */
const reuse = 'uses the numbers of a refused batch again'

/** A step of a relay. */
export interface Doing {
  readonly label: string
  /** Undefined: it asks nobody, or reads only. */
  readonly request?: Request
  /** Goes on with the answer, or at once. */
  readonly go: (state: State, relay: Relay, answer: Answer) => void
  /** Goes on without an answer; undefined: a session is lost, as for every statement. */
  readonly without?: (state: State, relay: Relay) => void
}

/** What the relay may do next. */
export function doingsOf(state: State, relay: Relay, mutant: string | undefined): Doing[] {
  const { at: step } = relay
  if (step === 'take' || step === 'idle') return [...takings(state, relay, mutant), ...readings(state, relay, mutant)]
  if (step === 'look early') return takings(state, relay, mutant)
  if (step === 'search') return searches(state, mutant)
  return [onlyDoing(step, relay, mutant)]
}

function onlyDoing(step: Exclude<Relay['at'], 'take' | 'idle' | 'look early' | 'search'>, relay: Relay, mutant?: string): Doing {
  const { owner, epochs } = relay
  const batch = relay.batch!
  switch (step) {
    case 'retake':
      return { label: 'claims its buckets again', request: { what: 'retake', owner }, go: (_, me, answer) => retaken(me, answer) }
    case 'adopt':
      return { label: 'reads the recorded batches', go: (now, me) => adopt(now, me, mutant) }
    case 'record':
      return {
        label: 'records',
        request: { what: 'record', owner, epochs, batch },
        go: (_, me, answer) => recorded(me, answer, mutant),
      }
    case 'send':
      return {
        label: 'sends',
        request: { what: 'produce', batch },
        go: (now, me, answer) => sent(now, me, answer, mutant),
        without: (now, me) => doubt(now, me, mutant),
      }
    case 'ask': {
      const isRecorded = ({ records }: State) => records.some((one) => isSame(one, batch))
      return { label: 'asks for the record', go: (now, me) => (isRecorded(now) ? at(me, 'search') : forget(me)) }
    }
    case 'withdraw':
      return {
        label: 'withdraws',
        request: { what: 'withdraw', owner, epochs, batch },
        go: (now, me, answer) => withdrawn(now, me, answer, mutant),
      }
    case 'dead-letter':
      return {
        label: 'dead-letters',
        request: { what: 'dead-letter', owner, epochs, row: rowsIn(batch.rows)[0]! },
        go: (_, me, answer) => deadLettered(me, answer, mutant),
      }
    case 'end':
      if (mutant === 'ends the record before the rows')
        return { label: 'ends the record', request: { what: 'end record', batch }, go: (_, me) => at(me, 'end rows') }
      return { label: 'ends the batch', request: { what: 'end', batch }, go: (_, me) => ended(me) }
    case 'end rows':
      return { label: 'ends the rows', request: { what: 'end', batch }, go: (_, me) => ended(me) }
  }
}

/** Claims of free buckets. */
function takings(state: State, relay: Relay, mutant: string | undefined): Doing[] {
  if (state.left.take === 0) return []
  const { owner, mine } = relay
  if (mutant === 'reads the records before it claims' && relay.at === 'take') {
    const look: Doing['go'] = ({ records }, me) => Object.assign(me, { adopted: [...records], at: 'look early' })
    return [{ label: 'reads all recorded batches', go: look }]
  }
  const free = [0, 1].filter((bucket) => state.leases[bucket]!.owner === -1 && !(mine & (1 << bucket)))
  return free.map((bucket) => ({
    label: `claims bucket ${bucket}`,
    request: { what: 'take', owner, bucket },
    go: (now, me, answer) => {
      if (answer.is !== 'done') return
      me.epochs[bucket] = answer.epochs![bucket]!
      me.mine |= 1 << bucket
      if (me.at === 'look early') goOn(now, me, mutant)
      else at(me, 'adopt')
    },
  }))
}

/** Two rows at most make a batch, which has the next numbers of the lane. */
function readings(state: State, { at: step, mine }: Relay, mutant: string | undefined): Doing[] {
  const rows = bitsOf(rowsIn(state.outbox & rowsOfBuckets(mine)).slice(0, 2))
  if (step !== 'idle' || rows === 0) return []
  const go: Doing['go'] = (now, me) => {
    number(now, me, rows)
    if (mutant === 'sends before it records') at(me, 'send')
  }
  return [{ label: `reads rows ${rowsIn(rows)}`, go }]
}

/** Makes these rows the batch of the lane. */
function number(state: State, me: Relay, rows: Rows): void {
  if (me.producer === -1) Object.assign(me, { producer: state.producers++, sequence: 0 })
  Object.assign(me, { batch: { producer: me.producer, sequence: me.sequence, rows }, doubtful: false, at: 'record' })
}

function retaken(me: Relay, answer: Answer): void {
  if (answer.is !== 'done') return
  me.epochs = answer.epochs!
  me.mine = bitsOf([0, 1].filter((bucket) => me.epochs[bucket]! >= 0))
  at(me, 'adopt')
}

const isOurs = ({ rows }: Batch, { mine }: Relay): boolean => (rows & rowsOfBuckets(mine)) !== 0

function adopt(state: State, me: Relay, mutant: string | undefined): void {
  const isKnown = (one: Batch) => [me.batch, ...me.adopted].some((known) => known && isSame(known, one))
  if (mutant !== 'adopts nothing') me.adopted.push(...state.records.filter((one) => isOurs(one, me) && !isKnown(one)))
  goOn(state, me, mutant)
}

/** Goes on where the lost session ended, or with what comes next. */
function goOn(state: State, me: Relay, mutant: string | undefined): void {
  const { batch, resumes } = me
  me.resumes = null
  // A batch without a bucket of this relay is its next owner's; what is acknowledged is ended by anybody.
  if (batch && (resumes === 'end' || resumes === 'end rows' || isOurs(batch, me))) at(me, resumes!)
  else if (batch) leave(me, 0)
  else next(me)
  if (mutant === 'sends adopted batches under its own numbers' && me.at === 'send' && me.batch && resumes === null)
    me.batch = { producer: state.producers++, sequence: 0, rows: me.batch.rows }
}

/** The next batch: an adopted one first. */
function next(me: Relay): void {
  me.adopted = me.adopted.filter((one) => isOurs(one, me))
  const batch = me.adopted.shift() ?? null
  Object.assign(me, { batch, doubtful: batch !== null, refused: false })
  // What comes after an adopted batch has numbers of its own.
  if (batch) Object.assign(me, { producer: -1, sequence: 0 })
  at(me, batch ? 'send' : me.mine ? 'idle' : 'take')
}

function recorded(me: Relay, answer: Answer, mutant: string | undefined): void {
  // It was not sent: its numbers are free.
  if (answer.is === 'fenced') {
    me.mine &= ~answer.buckets
    next(me)
  } else at(me, mutant === 'sends before it records' ? 'end' : 'send')
}

function sent(state: State, me: Relay, answer: Answer, mutant: string | undefined): void {
  if (answer.is === 'done') {
    // A leader answers when the replicas have it, or had it before.
    replicate(state)
    at(me, mutant === 'sends before it records' ? 'record' : 'end')
    return
  }
  me.refused = answer.is === 'refused'
  at(me, me.doubtful && mutant !== 'takes a refusal for absence' ? 'ask' : 'withdraw')
}

/** The outcome is unknown: the same batch is sent again under its numbers. */
function doubt(state: State, me: Relay, mutant: string | undefined): void {
  me.doubtful = true
  if (mutant === 'sends again under new numbers') me.batch = { ...me.batch!, producer: state.producers++, sequence: 0 }
  if (mutant === 'sends other rows under the numbers') next(me)
}

/** A batch is in the log as a whole or not at all. */
function searches({ left }: State, mutant: string | undefined): Doing[] {
  const end: Doing['go'] = (now, me) => {
    const found = foundIn(now, me.batch!.rows)
    at(me, found === 0 ? 'withdraw' : found === me.batch!.rows ? 'end' : 'send')
  }
  const whole: Doing['go'] = (now, me, answer) => {
    replicate(now)
    end(now, me, answer)
  }
  const ways: Doing[] = [{ label: 'searches the log', go: whole }]
  if (left.lag > 0) ways.push({ label: 'searches the log before the replicas catch up', go: end })
  const fails: Doing['go'] = (now, me) => {
    now.left.lose--
    at(me, mutant === 'takes a failed search for an empty one' ? 'withdraw' : 'send')
  }
  if (left.lose > 0) ways.push({ label: 'searches in vain', go: fails })
  return ways
}

function withdrawn(state: State, me: Relay, answer: Answer, mutant: string | undefined): void {
  if (answer.is === 'fenced') leave(me, answer.buckets)
  else if (answer.is === 'gone') forget(me)
  else splitOrRenumber(state, me, mutant)
}

/** Nobody sends the batch any more: its rows go on under other numbers, after a refusal the first one alone. */
function splitOrRenumber(state: State, me: Relay, mutant: string | undefined): void {
  const { batch, refused } = me
  const own = rowsIn(batch!.rows & rowsOfBuckets(me.mine))
  if (mutant === reuse) Object.assign(me, { producer: batch!.producer, sequence: batch!.sequence })
  else Object.assign(me, { producer: -1, sequence: 0 })
  if (own.length === 0) forget(me)
  else if (refused && rowsIn(batch!.rows).length === 1) at(me, 'dead-letter')
  else number(state, me, bitsOf(refused ? own.slice(0, 1) : own))
}

function deadLettered(me: Relay, answer: Answer, mutant: string | undefined): void {
  if (answer.is === 'fenced') leave(me, answer.buckets)
  else if (mutant === reuse) next(me)
  else forget(me)
}

/** Lets go of a batch that stays recorded; the leases of these buckets are lost. */
function leave(me: Relay, buckets: number): void {
  me.mine &= ~buckets
  forget(me)
}

/** The batch is over for this lane, and so are its numbers. */
function forget(me: Relay): void {
  Object.assign(me, { producer: -1, sequence: 0 })
  next(me)
}

function ended(me: Relay): void {
  const { batch, producer } = me
  if (producer === batch!.producer) me.sequence = batch!.sequence + rowsIn(batch!.rows).length
  next(me)
}

const at = (me: Relay, step: Relay['at']): void => {
  me.at = step
}

/** A session is lost: what was to be recorded may be, and is not sent; everything else goes on. */
export function loseSession(_: State, me: Relay): void {
  if (me.at === 'record') Object.assign(me, { batch: null, producer: -1, sequence: 0 })
  else if (me.batch && me.at !== 'retake' && me.at !== 'adopt') me.resumes = me.at
  at(me, 'retake')
}
