import { quote, tablesOf } from '../message/tables.ts'

/** Every statement of the writers, for a set of tables. `proof_line` and `proof_ledger` are theirs alone. */
export function proofStatements(schema: string, prefix = '') {
  const line = `${quote(schema)}."proof_line"`
  const ledger = `${quote(schema)}."proof_ledger"`
  const { outbox, dead, batch, lease, relay } = tablesOf(schema, prefix)
  return {
    /** The lines that serialize the writers of a key, and the ledger of what was committed. Keys are in hexadecimal: a text holds no NUL. */
    create: `CREATE TABLE ${line} ("topic" text, "key" text, "n" integer NOT NULL DEFAULT 0, PRIMARY KEY ("topic", "key"));
CREATE TABLE ${ledger} ("message_id" uuid PRIMARY KEY, "topic" text NOT NULL, "key" text, "n" integer, "value" text NOT NULL)`,

    /** Removes both. */
    drop: `DROP TABLE IF EXISTS ${line}, ${ledger}`,

    /** Puts the lines of a topic in: the first message of a key must wait for others of its key as the tenth does. */
    addLines: `INSERT INTO ${line} ("topic", "key") SELECT $1::text, unnest($2::text[]) ON CONFLICT DO NOTHING`,

    /** Draws the next place in a line. The row stays locked until the commit, so that commits of a key come in the order of n. */
    nextPlace: `UPDATE ${line} SET "n" = "n" + 1 WHERE "topic" = $1::text AND "key" = $2::text RETURNING "n"`,

    /** Writes the message into the ledger. */
    record: `INSERT INTO ${ledger} ("message_id", "topic", "key", "n", "value") VALUES ($1::uuid, $2::text, $3::text, $4::int, $5::text)`,

    /** The whole ledger. */
    ledger: `SELECT "message_id" AS id, "topic" AS topic, "key" AS key, "n" AS n, "value" AS value FROM ${ledger}`,

    /** Rows that wait for Kafka. */
    waiting: `SELECT count(*)::int AS n FROM ${outbox}`,

    /** Batches that were ever recorded. The server counts them; each session tells it what it did when it ends. */
    recorded: `SELECT pg_stat_get_tuples_inserted('${batch}'::regclass)::float8 AS n`,

    /** Recorded batches with a bucket of the relay of that name. */
    recordedBy: `SELECT count(*)::int AS n FROM ${batch} AS b JOIN ${lease} AS l ON b."buckets" & (1::bigint << l."bucket"::int) <> 0
  JOIN ${relay} AS r ON r."id" = l."owner" WHERE r."name" = $1::text`,

    /** Messages taken out of the way. */
    dead: `SELECT "message_id" AS id, "reason" AS reason FROM ${dead}`,

    /** Writes what enqueue writes. */
    enqueue: `INSERT INTO ${outbox} ("bucket", "message_id", "topic", "type", "key", "value", "headers")
  VALUES ($1::smallint, $2::uuid, $3::text, $4::text, $5::bytea, $6::bytea, $7::jsonb)`,
  }
}

/** The statements of the writers. */
export type ProofStatements = ReturnType<typeof proofStatements>
