import type { Holder, RelayState } from '../../store/operator.ts'
import { counted, span } from '../format.ts'
import { stateOf } from '../trouble.ts'
import { cut, type Html, html, nameLength } from './html.ts'
import { row, table } from './table.ts'

/** The marks of relays in the strip, and as many relays as are listed: more would make the page heavy. */
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const colours = 8

/**
 * The leases as a strip of 64 cells, and the relays that hold them. Colour alone says nothing: each relay has a letter, `!` is a lease that
 * has run out, and `·` a bucket that nobody holds.
 */
export function strip(holders: readonly Holder[], relays: readonly RelayState[]): Html {
  // A relay that is gone and holds nothing needs no letter: another one has its turn.
  const living = relays.filter(({ alive }) => alive).map(({ name }) => name)
  const names = [...new Set([...living, ...holders.flatMap((one) => one.relay ?? [])])].sort()
  const letterOf = (name: string) => (names.includes(name) ? (letters[names.indexOf(name)] ?? '+') : undefined)
  const cells = holders.map(({ bucket, relay, expired }) => {
    const mark = relay === null ? '·' : expired ? '!' : letterOf(relay)
    const look = relay === null ? 'free' : expired ? 'expired' : `relay-${names.indexOf(relay) % colours}`
    return html`<i class="mark ${look}" title="${titleOf({ bucket, relay, expired })}">${mark}</i>`
  })
  return html`<div class="strip" role="img" aria-label="Leases of the 64 buckets: ${summary(holders)}">${cells}</div>
${relayTable(relays, letterOf, (name) => names.indexOf(name) % colours)}`
}

const titleOf = ({ bucket, relay, expired }: Holder): string =>
  `Bucket ${bucket}: ${relay === null ? 'free' : `${cut(relay, nameLength)}${expired ? ', run out' : ''}`}`

/** Who holds how many, in words. */
function summary(holders: readonly Holder[]): string {
  const counts = new Map<string, number>()
  for (const { relay, expired } of holders) {
    const what = relay === null ? 'free' : expired ? 'run out' : cut(relay, nameLength)
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  return [...counts].map(([what, n]) => `${what} ${n}`).join(', ')
}

function relayTable(
  relays: readonly RelayState[],
  letterOf: (name: string) => string | undefined,
  colourOf: (name: string) => number,
): Html {
  if (relays.length === 0) return html`<p class="note">No relay has a heartbeat.</p>`
  const rows = relays.slice(0, letters.length).map((relay) =>
    row({
      Relay: html`${letterOf(relay.name) !== undefined && html`<i class="mark relay-${colourOf(relay.name)}" aria-hidden="true">${letterOf(relay.name)}</i> `}${cut(relay.name, nameLength)}`,
      State: relay.withoutKafka ? html`<strong class="bad">${stateOf(relay)}</strong>` : stateOf(relay),
      Leases: counted(relay.buckets, 'bucket'),
      Seen: `${span(relay.seenMsAgo)} ago`,
      Acknowledged: relay.ackedMsAgo === null ? 'never' : `${span(relay.ackedMsAgo)} ago`,
      Version: relay.version,
    }),
  )
  const more = relays.length - rows.length
  return html`${table('Relays', ['Relay', 'State', 'Leases', 'Seen', 'Acknowledged', 'Version'], rows)}
${more > 0 && html`<p class="note">… and ${more} more.</p>`}`
}
