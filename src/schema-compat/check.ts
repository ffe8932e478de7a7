import { fits, type Misfit } from './fits.ts'
import { type Lock, type LockedEvent, type LockedVersion, sameText } from './lock.ts'

/** How much a finding weighs: a break fails the check; a warning tells an order of deployment; new is what the lock does not have yet. */
export type Level = 'break' | 'warning' | 'new'

/** One thing that `schema check` found. */
export interface Finding {
  level: Level
  /** Name of the event. */
  type: string
  /** Number of the version; null for the event as a whole. */
  version: number | null
  /** Path in the payload; null for the event or the version as a whole. */
  path: string | null
  reason: string
  /** Who breaks: consumers that run the old code, those that run the new one, or nobody. */
  breaks: 'old consumers' | 'new consumers' | 'nobody'
  remedy: string
}

/**
 * What has changed between the locked events and those of the present. Asked is always whether what a writer writes is taken by a reader:
 * old messages by new consumers, and new messages by old consumers. Key functions and `up` cannot be compared.
 */
export function checkEvents(locked: Lock, present: Lock): Finding[] {
  const gone = Object.keys(locked.events).filter((type) => !Object.hasOwn(present.events, type))
  const fresh = Object.keys(present.events).filter((type) => !Object.hasOwn(locked.events, type))
  const both = Object.keys(locked.events).filter((type) => Object.hasOwn(present.events, type))
  return [
    ...gone.map((type) =>
      whole(
        'break',
        type,
        null,
        'the event is gone',
        'new consumers',
        'Keep it in the catalog as long as its messages are in Kafka.',
      ),
    ),
    ...both.flatMap((type) => checkEvent(type, locked.events[type]!, present.events[type]!)),
    ...fresh.flatMap(checkFresh),
  ]
}

/** An event that the lock does not have. Consumers of the old code take no offence at it, and read on: nobody would notice. */
function checkFresh(type: string): Finding[] {
  const remedy = 'Deploy the consumers that are to handle it first, then the producers.'
  return [
    whole('new', type, null, 'the event is new', 'nobody', 'Run "schema lock".'),
    whole('warning', type, null, 'consumers that do not know the event pass its messages over for good', 'old consumers', remedy),
  ]
}

function checkEvent(type: string, locked: LockedEvent, present: LockedEvent): Finding[] {
  const moved = locked.topic !== present.topic
  const reason = `the topic ${locked.topic} became ${present.topic}`
  const remedy = 'Keep the topic, or define the event again under another name and let both live for a while.'
  return [
    ...(moved ? [whole('break', type, null, reason, 'old consumers', remedy)] : []),
    ...locked.versions.flatMap((version, i) => checkVersion(type, i + 1, version, present)),
    ...checkAppended(type, locked, present),
  ]
}

/** A version that is locked: its messages are in Kafka, and its consumers run. */
function checkVersion(type: string, number: number, locked: LockedVersion, present: LockedEvent): Finding[] {
  const now = present.versions[number - 1]
  if (!now) {
    const remedy = 'Keep every version in the chain: old messages are read by it.'
    return [whole('break', type, number, 'the version is gone', 'new consumers', remedy)]
  }
  if (sameText(locked.in, now.in) && sameText(locked.out, now.out)) return []
  const remedy = 'Leave the version as it was and add a new one with .evolve({ schema, up }).'
  const unread = fits(locked.out, now.in).map((misfit) => finding('break', type, number, misfit, 'new consumers', remedy))
  // Of an older version nothing new is written.
  const newest = number === present.versions.length
  const refused = newest
    ? fits(now.out, locked.in).map((misfit) => finding('break', type, number, misfit, 'old consumers', remedy))
    : []
  return [...unread, ...refused]
}

/** Versions that the lock does not have. Consumers of the old code parse them with the newest schema that they know. */
function checkAppended(type: string, locked: LockedEvent, present: LockedEvent): Finding[] {
  const last = locked.versions.length
  if (present.versions.length <= last) return []
  const newest = present.versions.length
  const remedy = 'Deploy the consumers first, then the producers.'
  return [
    whole('new', type, newest, `version ${newest} is new`, 'nobody', 'Run "schema lock".'),
    ...fits(present.versions[newest - 1]!.out, locked.versions[last - 1]!.in).map((misfit) =>
      finding(
        'warning',
        type,
        newest,
        { ...misfit, reason: `${misfit.reason}, for consumers that stop at version ${last}` },
        'old consumers',
        remedy,
      ),
    ),
  ]
}

function finding(
  level: Level,
  type: string,
  version: number | null,
  misfit: Misfit,
  breaks: Finding['breaks'],
  remedy: string,
): Finding {
  return { level, type, version, path: misfit.path, reason: misfit.reason, breaks, remedy }
}

function whole(
  level: Level,
  type: string,
  version: number | null,
  reason: string,
  breaks: Finding['breaks'],
  remedy: string,
): Finding {
  return { level, type, version, path: null, reason, breaks, remedy }
}
