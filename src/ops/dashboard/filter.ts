import type { Look, Selection } from '../../store/operator.ts'
import { ageMs, keyBytes } from '../format.ts'
import { commandLine } from './command.ts'

/** What the form of the page Messages holds, as it stands in the address: a link shows the same again. */
export interface Filter {
  state: 'waiting' | 'dead'
  topic: string
  key: string
  reason: string
  olderThan: string
  newerThan: string
  order: 'oldest' | 'newest'
}

const texts = ['topic', 'key', 'reason', 'olderThan', 'newerThan'] as const

/** Rows of each bucket that are looked at: 32,000 in all, so that a filter that fits nothing costs the database no more than this. */
export const depth = 500

/** The filter in an address. Blanks around a value come from pasting. */
export function filterOf({ searchParams }: URL): Filter {
  const [topic, key, reason, olderThan, newerThan] = texts.map((name) => searchParams.get(name)?.trim() ?? '')
  return {
    state: searchParams.get('state') === 'dead' ? 'dead' : 'waiting',
    topic: topic!,
    key: key!,
    reason: reason!,
    olderThan: olderThan!,
    newerThan: newerThan!,
    order: searchParams.get('order') === 'newest' ? 'newest' : 'oldest',
  }
}

/** Fields that hold no age, though they must. */
export const wrongFields = (filter: Filter): ('olderThan' | 'newerThan')[] =>
  (['olderThan', 'newerThan'] as const).filter((name) => filter[name] !== '' && ageMs(filter[name]) === undefined)

/** What the filter chooses, and how far is looked for it. */
export function selectionOf(filter: Filter): Selection & Look & { dead: boolean } {
  return {
    dead: filter.state === 'dead',
    topic: filter.topic || undefined,
    key: filter.key === '' ? undefined : keyBytes(filter.key),
    reason: filter.state === 'dead' && filter.reason !== '' ? filter.reason : undefined,
    olderThanMs: ageMs(filter.olderThan),
    newerThanMs: ageMs(filter.newerThan),
    depth,
    newest: filter.order === 'newest',
  }
}

/** The command that lists the same without a limit to its look. */
export function listCommandLine({ state, topic, key, reason, olderThan, newerThan }: Filter): string | undefined {
  const given = {
    '--topic': topic,
    '--key': key,
    '--reason': state === 'dead' ? reason : '',
    '--older-than': olderThan,
    '--newer-than': newerThan,
  }
  return commandLine(
    ['list', ...(state === 'dead' ? ['--dead'] : [])],
    Object.fromEntries(Object.entries(given).filter(([, value]) => value !== '')),
  )
}
