import type { StoreSession } from '../../store/store.ts'
import type { RelayContext } from '../context.ts'
import type { Notifications } from '../notifications.ts'
import type { Topics } from '../publish/topics.ts'
import { Mover } from './mover.ts'
import { OperatorRequests } from './operator-requests.ts'

/**
 * The loop that moves rows between outbox and outbox_dead_letter, one statement at a time, under the relay's own leases. It moves refused
 * rows and those behind them out of the way (rule 13). It puts them back or drops them at the request of an operator (rule 14).
 */
export class DeadLetters {
  readonly #context: RelayContext
  readonly #mover: Mover
  readonly #requests: OperatorRequests

  constructor(context: RelayContext, topics: Topics, notifications: Notifications) {
    this.#context = context
    this.#mover = new Mover(context, topics)
    this.#requests = new OperatorRequests(context, topics, notifications)
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    const { clock, state } = this.#context
    const { moves } = state
    while (!signal.aborted) {
      // A bucket that is to be given back must not wait for what may never come.
      moves.drop(({ row: { claim }, notBefore }) => claim.leaving && (claim.moveStuck || notBefore > 0))
      const move = moves.due(clock.now())
      const due = moves.requestsAt <= clock.now()
      if (move) await this.#mover.move(session, move)
      // Also while moves keep coming: each message of a blocked key is one, and a request may be to unblock it.
      if (due && !signal.aborted) await this.#requests.grant(session)
      if (!move && !due) await moves.changed.wait(signal, Math.max(0, moves.nextAt - clock.now()))
    }
  }
}
