-- prisma-extension-outbox, table format 1.

-- A message that waits for Kafka. A row exists until Kafka has acknowledged it: its presence is the truth, there is no status column.
CREATE TABLE "outbox" (
    "bucket" SMALLINT NOT NULL,
    "id" BIGSERIAL NOT NULL,
    "message_id" UUID NOT NULL,
    "topic" TEXT NOT NULL,
    "type" TEXT,
    "key" BYTEA,
    "value" BYTEA,
    "headers" JSONB,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT "outbox_pkey" PRIMARY KEY ("bucket","id")
);

-- Which relay may read and publish a bucket, and until when. 64 rows.
CREATE TABLE "outbox_lease" (
    "bucket" SMALLINT NOT NULL,
    "owner" UUID,
    "epoch" BIGINT NOT NULL DEFAULT 0,
    "leased_until" TIMESTAMPTZ(6) NOT NULL DEFAULT '2000-01-01 00:00:00+00'::timestamptz,
    "lease_ms" INTEGER NOT NULL DEFAULT 10000,
    "format" SMALLINT NOT NULL DEFAULT 1,

    CONSTRAINT "outbox_lease_pkey" PRIMARY KEY ("bucket")
);

-- Relays that are alive: heartbeats, for fair shares and for `status`.
CREATE TABLE "outbox_relay" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    "seen_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    "acked_at" TIMESTAMPTZ(6),

    CONSTRAINT "outbox_relay_pkey" PRIMARY KEY ("id")
);

-- Messages taken out of the way: refused by Kafka for good, or waiting behind such a message of the same topic and key.
CREATE TABLE "outbox_dead" (
    "bucket" SMALLINT NOT NULL,
    "id" BIGINT NOT NULL,
    "message_id" UUID NOT NULL,
    "topic" TEXT NOT NULL,
    "type" TEXT,
    "key" BYTEA,
    "value" BYTEA,
    "headers" JSONB,
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    "reason" TEXT,
    "error" TEXT,
    "died_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    "relay" TEXT NOT NULL,
    "wish" TEXT,

    CONSTRAINT "outbox_dead_pkey" PRIMARY KEY ("bucket","id","message_id")
);

-- Wishes of the operator are looked for every second; this keeps that cheap when many messages are dead.
CREATE INDEX "outbox_dead_wish_bucket_idx" ON "outbox_dead"("wish", "bucket");

-- 64 is a constant of the table format: a row outside would never be read.
ALTER TABLE "outbox" ADD CONSTRAINT "outbox_bucket_check" CHECK ("bucket" BETWEEN 0 AND 63);

-- Rows come and go: vacuum early, by dead rows and not by a share of a table that is nearly always empty.
ALTER TABLE "outbox" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);

-- Leases and heartbeats are updated in place (HOT): leave room on their pages.
ALTER TABLE "outbox_lease" SET (fillfactor = 50);
ALTER TABLE "outbox_relay" SET (fillfactor = 50);

INSERT INTO "outbox_lease" ("bucket") SELECT generate_series(0, 63);
