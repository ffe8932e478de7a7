import type { Admin } from 'kafkajs'
import type pg from 'pg'
import type { Flow } from '../../src/proof/history.ts'

/** Takes a fault back; resolves when the surroundings are sound again. Calling it twice does no harm. */
export type Heal = () => Promise<void>

/**
 * One kind of fault that the torture injects. `begin` resolves when the fault is in force. Several faults are in force at once, also two
 * of one kind: a fault asks nothing of the others, and heals only what it broke itself.
 */
export interface Fault {
  /** For `--faults` and the table: lower case with hyphens, `broker-sigkill`. */
  readonly name: string
  /** One sentence for the README: what is done, for how long. */
  readonly what: string
  /** How long the fault stays in force, in milliseconds: a range from which the schedule draws. */
  readonly lastsMs: readonly [least: number, most: number]
  /** What is promised of the messages that it does not touch. */
  readonly flow?: Flow
  begin(ground: Ground): Promise<Heal>
}

/** Runs work in a transaction of an admin session that stays open until the heal. */
export async function inSession({ postgres }: Ground, work: (client: pg.PoolClient) => Promise<unknown>): Promise<Heal> {
  const client = await postgres.admin.connect()
  let over = false
  const end = async () => {
    if (over) return
    over = true
    // The server may have been stopped meanwhile: its end is the end of the session too.
    await client.query('ROLLBACK').catch(() => {})
    client.release(true)
  }
  try {
    await client.query('BEGIN')
    await work(client)
  } catch (error) {
    await end()
    throw error
  }
  return end
}

/** What a TCP proxy does to connections; old and new ones alike. */
export type ProxyMode =
  /** Hands every byte on. */
  | { kind: 'pass' }
  /** Ends what is open, refuses what comes. */
  | { kind: 'refuse' }
  /** Resets what is open once; new connections pass. */
  | { kind: 'reset' }
  /** Takes bytes and hands nothing on, in both directions; connections stay open. */
  | { kind: 'black-hole' }
  /** Hands every chunk on `ms` later. */
  | { kind: 'delay'; ms: number }
  /** Hands the answers to Produce requests on `ms` later; everything else at once. */
  | { kind: 'slow-produce'; ms: number }
  /** Hands on so many bytes a second. */
  | { kind: 'throttle'; bytesPerSecond: number }
  /** Resets a connection when the client has sent this text (`COMMIT`), after handing it on: the outcome is unknown to the client. */
  | { kind: 'reset-after'; text: string }

/** A proxy in front of one port. */
export interface TcpProxy {
  readonly port: number
  /** Adds a mode and returns what takes it away again; with several in force the worst wins. */
  impose(mode: ProxyMode): () => void
  close(): Promise<void>
}

/** A relay under torture, in a process of its own. */
export interface RelayHandle {
  readonly name: string
  readonly pid: number
  alive(): boolean
  signal(signal: NodeJS.Signals): void
  /** Resolves when the process has ended. */
  ended(): Promise<void>
  /** Blocks its event loop for so many milliseconds (the process listens for it on its IPC channel). */
  block(ms: number): void
  /** Dies by SIGKILL when it next comes to the named failpoint. */
  dieAt(failpoint: string): void
  /** Stops itself by SIGSTOP when it next comes to the named failpoint. What it returns lets it go on, whether it had stopped or not. */
  stopAt(failpoint: string): Promise<() => Promise<void>>
}

/** The relays under torture. Those that die are started again by the fleet, as a process manager would. */
export interface RelayFleet {
  all(): readonly RelayHandle[]
  /** One that is alive, drawn by the seed. */
  any(): RelayHandle
  /** From now on so many run. */
  scale(count: number): Promise<void>
  /** The next one that is started gets these additions to its environment (libfaketime, for one). */
  startWith(env: Record<string, string>): Promise<RelayHandle>
}

/** One broker of a cluster. */
export interface Broker {
  readonly id: number
  /** host:port behind the proxy: what clients are told. */
  readonly address: string
  /** Stands in front of the listener that clients use; the brokers speak to each other past it. */
  readonly proxy: TcpProxy
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  start(): Promise<void>
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void
}

/** Three brokers, replication 3, `min.insync.replicas` 2. */
export interface KafkaCluster {
  /** For clients under torture: through the proxies. */
  readonly bootstrap: string
  /** For the torture itself: past the proxies. */
  readonly direct: string
  readonly brokers: readonly Broker[]
  remove(): Promise<void>
}

/** Everything that faults may touch. */
export interface Ground {
  /** From 0 to 1, drawn from the seed. */
  random(): number
  postgres: {
    /** Past the proxy, as a superuser. */
    admin: pg.Pool
    url: string
    /** Name of the database under torture. */
    database: string
    /** Stands between relays (and some of the writers) and the server. */
    proxy: TcpProxy
    /** `clean`: pg_ctl restart -m fast; `immediate`: pg_ctl stop -m immediate, then start (crash recovery). */
    restart(how: 'clean' | 'immediate'): Promise<void>
  }
  kafka: KafkaCluster
  /** An admin client past the proxies, connected. */
  admin: Admin
  relays: RelayFleet
  /** The relays record their batches. */
  exactlyOnce: boolean
  topics: {
    /** Never deleted, never grown: what lands here must be there, in order. */
    steady: readonly string[]
    /** Deleted and created again by a fault: whatever is lost with the topic is not the relay's loss. */
    doomed: string
    /** Grows by a fault: order of a key across the growth is not promised. */
    growing: string
    /** Written by poison only: `max.message.bytes` is small. */
    narrow: string
    /** Written by poison only: `cleanup.policy=compact`, so that a record without key is refused. */
    compacted: string
  }
  /** Says that these messages are expected in outbox_dead_letter with that reason (null: behind another one), and nowhere else. */
  expectDead(messageIds: readonly string[], reason: string | null): void
  /** Says that these messages of one key were written one after another. */
  expectLine(messageIds: readonly string[]): void
  /** Says that this message was put in below what the relays had read. */
  expectAlarm(messageId: string): void
  /** Says that from now on, and `ms` later at the latest, the last number of partitions of the growing topic is used. */
  expectGrown(ms: number): void
  /** A line for the torture's record, with the time. */
  note(text: string): void
}
