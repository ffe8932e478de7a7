import pg from 'pg'
import { quote } from '../../message/tables.ts'
import { wakeChannel } from '../../message/wake.ts'
import { connectionConfig } from './line.ts'

/** Milliseconds between two tries to connect. */
const retryMs = 5_000

/**
 * Listens on the wake channel until `signal` aborts. Silent about faults: without notifications the relay polls, and its other
 * connections tell about a database that is down.
 */
export function listenForWakes(
  url: string,
  { onNotify, onLost }: { onNotify: (payload: string) => void; onLost: () => void },
  signal: AbortSignal,
): void {
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined

  const again = () => {
    client?.removeAllListeners('end')
    client = undefined
    if (!signal.aborted) onLost()
    if (!signal.aborted) timer = setTimeout(() => void connect(), retryMs)
  }

  const connect = async (): Promise<void> => {
    const mine = new pg.Client(connectionConfig(url))
    client = mine
    mine.on('error', () => {})
    mine.on('notification', (notification) => onNotify(notification.payload ?? ''))
    try {
      await mine.connect()
      mine.once('end', again)
      await mine.query(`LISTEN ${quote(wakeChannel)}`)
    } catch {
      void mine.end().catch(() => {})
      if (client === mine) again()
    }
    if (signal.aborted) void mine.end().catch(() => {})
  }

  signal.addEventListener('abort', () => {
    clearTimeout(timer)
    void client?.end().catch(() => {})
  })
  if (!signal.aborted) void connect()
}
