/**
 * What becomes of the later messages of a key when one is rejected for good: `block` lets them wait behind it, in order; `skip` goes on
 * without it.
 */
export type OnDeadLetter = 'block' | 'skip'

/** One way for all topics, or ways by the names of topics; `*` stands for all others, and means `block` if it is missing. */
export type OnDeadLetterByTopic = OnDeadLetter | Readonly<Record<string, OnDeadLetter>>

/**
 * The way of one topic.
 *
 * @example onDeadOf('skip', 'orders')                              // 'skip'
 * @example onDeadOf({ '*': 'block', audit_log: 'skip' }, 'orders')  // 'block'
 */
export function onDeadOf(ways: OnDeadLetterByTopic, topic: string): OnDeadLetter {
  if (typeof ways === 'string') return ways
  const own = Object.hasOwn(ways, topic) ? ways[topic] : ways['*']
  return own ?? 'block'
}
