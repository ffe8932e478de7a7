import type { Logger } from 'pino'
import type { RelayEventSource } from '../relay/telemetry.ts'

/** Milliseconds between two lines. */
const everyMs = 5_000

/** Topics that a line names, those with the most messages. */
const namedTopics = 5

/**
 * Says every five seconds how many messages were published, by topic, for a person at a terminal: nothing is said while nothing is
 * published. The level `debug` has each batch.
 */
export function tellPublished(relay: RelayEventSource, logger: Logger): void {
  let topics = new Map<string, number>()
  relay.on('published', ({ topic, records }) => topics.set(topic, (topics.get(topic) ?? 0) + records))
  const tell = () => {
    if (topics.size > 0) logger.info({ event: 'published', messages: sum(topics), topics: topicsText(topics) }, 'published')
    topics = new Map()
  }
  const timer = setInterval(tell, everyMs).unref()
  relay.on('stopped', () => {
    clearInterval(timer)
    tell()
  })
}

const sum = (topics: ReadonlyMap<string, number>): number => [...topics.values()].reduce((all, n) => all + n, 0)

/** `order_placed 8, orders 4 and 2 more topics`. */
export function topicsText(topics: ReadonlyMap<string, number>): string {
  const ranked = [...topics].sort(([, a], [, b]) => b - a)
  const named = ranked.slice(0, namedTopics).map(([topic, n]) => `${topic} ${n}`)
  const more = ranked.length - named.length
  return `${named.join(', ')}${more > 0 ? ` and ${more} more topic${more === 1 ? '' : 's'}` : ''}`
}
