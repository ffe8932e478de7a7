/**
 * The checks of `doctor`, in their order, each with the levels that a verdict of it can have besides `ok`. `npm run docs` writes
 * docs/reference/doctor.md from the comments: the question, when it comes to each level, and what to do.
 */
export interface Checks {
  /**
   * Does the URL lead to the primary?
   * @failure It leads to a replica, or its sessions begin read-only.
   * @remedy Point `DATABASE_URL` at the primary.
   */
  primary: 'failure'
  /**
   * Is PostgreSQL new enough?
   * @failure It is older than 15.
   * @remedy Upgrade to PostgreSQL 15 or newer.
   */
  version: 'failure'
  /**
   * Does a commit survive a crash of the server?
   * @warning `synchronous_commit` or `fsync` is off.
   * @remedy Run the statement that the check shows.
   */
  durability: 'warning'
  /** Which isolation and time zone are the defaults? The relay sets its own, so this is never wrong. */
  isolation: never
  /**
   * Does the connection lead to the server itself?
   * @warning PgBouncer or another pooler is in between. In transaction mode it swallows notifications.
   * @remedy Set `OUTBOX_LISTEN_URL` to the database itself, or to `off`.
   */
  pooler: 'warning'
  /**
   * Do the clocks of the database and of this machine agree?
   * @warning They differ by more than 2 s.
   * @remedy Keep both machines on NTP.
   */
  clock: 'warning'
  /**
   * Is the connection to the database encrypted, and the certificate checked?
   * @warning One of both is missing to another machine, or between a pooler and the database.
   * @remedy Add `sslmode=verify-full` to `DATABASE_URL`, or set `server_tls_sslmode` in PgBouncer.
   */
  'database encryption': 'warning'
  /**
   * Can VACUUM remove dead rows?
   * @warning A session, a prepared transaction or an inactive replication slot has held them back for more than 5 minutes.
   * @unseen Sessions of other roles cannot be seen.
   * @remedy End it with the statement that the check shows, or grant `pg_read_all_stats`.
   */
  horizon: 'warning' | 'unseen'
  /**
   * Are the tables those of the migration?
   * @failure A table or column is missing, or has another type.
   * @remedy Apply the migration that `init` writes.
   */
  tables: 'failure'
  /**
   * Has the role the rights of a relay?
   * @failure Rights are missing.
   * @remedy Run the GRANT that the check shows.
   */
  rights: 'failure'
  /**
   * Can other roles put objects before those that statements name?
   * @warning A role other than the owner may create objects in a schema that is searched, or in that of the tables.
   * @remedy Run the REVOKE that the check shows.
   */
  'search path': 'warning'
  /**
   * Do the tables have the trigger of the migration, and no other?
   * @warning A foreign trigger or rule is on a table, or the trigger that writes who asks for a redrive is missing.
   * @remedy Drop the one that you do not know, or create the missing one.
   */
  triggers: 'warning'
  /**
   * Does the role see all rows?
   * @failure Row-level security is active for it.
   * @remedy Give the role BYPASSRLS, or disable row-level security.
   */
  'row security': 'failure'
  /**
   * Do the tables survive a crash?
   * @failure A table is `UNLOGGED`.
   * @remedy `ALTER TABLE … SET LOGGED`.
   */
  logged: 'failure'
  /**
   * Does autovacuum keep up?
   * @warning It is off, or a table has more than 100,000 dead rows and more of them than live ones.
   * @remedy Turn it on; vacuum the tables that the check names.
   */
  vacuum: 'warning'
  /**
   * Do ids come one by one, above those of the table?
   * @failure Sessions draw ids ahead (`CACHE`), or the sequence is behind the tables.
   * @unseen The role may not read the sequence or the tables.
   * @remedy Run the statement that the check shows.
   */
  sequence: 'failure' | 'unseen'
  /**
   * Does this version know the format of the tables?
   * @failure They belong to another version.
   * @unseen The role may not read `outbox_lease`.
   * @remedy Run the version that belongs to the tables.
   */
  format: 'failure' | 'unseen'
  /**
   * Is a relay alive?
   * @failure None is, and messages wait.
   * @warning None is.
   * @unseen The tables cannot be queried.
   * @remedy Start one: `npx prisma-extension-outbox relay`.
   */
  relays: 'failure' | 'warning' | 'unseen'
  /**
   * Does this relay reach Kafka?
   * @failure No broker answers it.
   * @remedy Check the network and the login of its machine.
   */
  [relay: `relay ${string}`]: 'failure'
  /**
   * Can the relays serve this topic? Only topics with trouble have this check.
   * @failure A relay reports that it cannot.
   * @remedy The check names it for the code of Kafka.
   */
  [topic: `stuck ${string}`]: 'failure'
  /**
   * Has each bucket an owner?
   * @warning Some have none, or one that is not alive.
   * @remedy Run it again after two lease times, then read the logs of the relays.
   */
  buckets: 'warning'
  /**
   * Does Kafka have to answer well within a lease?
   * @warning `OUTBOX_REQUEST_TIMEOUT_MS` is as long as a lease.
   * @remedy Make it half of `OUTBOX_LEASE_MS`, or leave it out.
   */
  lease: 'warning'
  /**
   * Are there dead letters?
   * @warning There are, by reason.
   * @remedy Remove the cause, then `redrive` or `discard`.
   */
  dead: 'warning'
  /**
   * Has every other outbox of the database a relay? Outboxes that the role may not read are left out.
   * @warning Another set of tables has messages and no relay.
   * @unseen The answer took too long.
   * @remedy Start a relay for it, or correct the models of the application that writes there.
   */
  'other outboxes': 'warning' | 'unseen'
  /**
   * Is the connection to Kafka encrypted?
   * @failure The login is sent in clear text to another machine.
   * @warning TLS is off to brokers on other machines, or `KAFKA_SASL_INSECURE` allows such a login.
   * @remedy Set `KAFKA_SSL=true`, and name the TLS listeners in `KAFKA_BROKERS`.
   */
  'kafka encryption': 'failure' | 'warning'
  /**
   * Does Kafka answer?
   * @failure No broker does, or one advertises an address that cannot be reached.
   * @unseen No brokers are given.
   * @remedy The check names it for the error.
   */
  kafka: 'failure' | 'unseen'
  /**
   * Can this topic take the messages that wait for it? The topics are those of the first 160 waiting messages of each bucket.
   * @failure It does not exist, may not be seen or written to, has too few replicas in sync, or is too small for the largest message.
   * @warning An acknowledged message may be on one broker only.
   * @unseen Its settings, or the right to write, cannot be seen.
   * @remedy Run the command that the check shows.
   */
  [topic: `topic ${string}`]: 'failure' | 'warning' | 'unseen'
  /**
   * Do the brokers take a batch once that is sent twice under the same numbers? `--exactly-once` tries it.
   * @failure They take it twice.
   * @warning They forget producers within 12 h, or the topic of the trial could not be deleted.
   * @unseen The trial could not be made, or the relays run in the exactly-once mode and `--exactly-once` is not given.
   * @remedy Use brokers that keep the state of idempotent producers, and `producer.id.expiration.ms` of a day.
   */
  'exactly once': 'failure' | 'warning' | 'unseen'
  /**
   * Does the version of `@prisma/client`, or of `@prisma/orm-postgres` in a project of Prisma 8, fit?
   * @failure It is older than 6.16, or than 8.0.0-rc.8.
   * @warning It is 7.4, whose migrations drop partial indexes.
   * @unseen There is none in this folder.
   * @remedy Upgrade Prisma; run `doctor` in the folder of the application.
   */
  prisma: 'failure' | 'warning' | 'unseen'
  /**
   * Do the commands of Prisma 8 know the tables? Only projects of Prisma 8 have this check.
   * @failure The extension is declared and its migrations are not planned, or those of this version are not.
   * @warning `prisma db update` would drop tables of the outbox, or the project was planned with another version.
   * @unseen The configuration does not say whether the extension is declared, or the contract is not emitted.
   * @remedy Run the commands that the check shows.
   */
  'contract space': 'failure' | 'warning' | 'unseen'
  /**
   * Do the writes of a failed transaction roll back? `--client` tries it.
   * @failure A write stays, does not reach the transaction, cannot be tried, or goes to another database.
   * @unseen No `--client` is given.
   * @remedy Let query extensions call `query(args)` and nothing else.
   */
  rollback: 'failure' | 'unseen'
}

/** Name of a check. */
export type Check = keyof Checks

/** Names of the checks that can come to a level. */
export type CheckWith<Level extends string> = {
  [C in Check]: Level extends Checks[C] ? C : never
}[Check]
