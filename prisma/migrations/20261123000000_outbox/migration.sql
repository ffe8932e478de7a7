-- prisma-extension-outbox, table format 1
--
-- The tables are those of the models in outbox.prisma, in the words that Prisma itself would use, so that Prisma sees no drift.
-- What Prisma cannot express and leaves alone comes with them: the CHECKs, storage settings, and the 64 lease rows.

-- A message that waits for Kafka. A row exists until Kafka has acknowledged it: its presence is the truth, there is no status column.
CREATE TABLE "outbox" (
    -- Bucket of the key, 0 to 63: murmur2(key) mod 64, without a key murmur2(topic) mod 64. Relays lease buckets, not rows.
    "bucket" SMALLINT NOT NULL,
    -- Order of the messages within a bucket.
    "id" BIGSERIAL NOT NULL,
    -- Identity of the message for consumers, the same in every copy: the Kafka header `id`.
    "message_id" UUID NOT NULL,
    -- Kafka topic.
    "topic" TEXT NOT NULL,
    -- Type of the event in the catalog: the Kafka header `type`.
    "type" TEXT,
    -- Kafka key, byte for byte. NULL: a message without a key.
    "key" BYTEA,
    -- Kafka value, byte for byte. NULL: a tombstone.
    "value" BYTEA,
    -- Kafka headers, one flat object of strings. Without `content-type` the value is `application/json`.
    "headers" JSONB,
    -- When the message was enqueued, by the clock of the database: the Kafka header `created-at`.
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT "outbox_pkey" PRIMARY KEY ("bucket","id"),
    -- 64 buckets are a constant of the table format: no relay would ever read a row outside.
    CONSTRAINT "outbox_bucket_check" CHECK ("bucket" BETWEEN 0 AND 63),
    -- Up to 2^53 - 1: beyond that JavaScript rounds, and a relay would delete another row than it sent. The sequence begins at 1.
    CONSTRAINT "outbox_id_check" CHECK ("id" BETWEEN 1 AND 9007199254740991),
    -- What RFC 3339 can write: neither infinity nor a year of five digits.
    CONSTRAINT "outbox_created_at_check" CHECK ("created_at" >= '0001-01-01 00:00:00+00' AND "created_at" < '9999-12-31 00:00:00+00'),
    -- What Kafka takes as the name of a topic.
    CONSTRAINT "outbox_topic_check" CHECK ("topic" ~ '^[a-zA-Z0-9._-]{1,249}$' AND "topic" <> '.' AND "topic" <> '..')
);

-- Rows come and go, so vacuum by number. The default settings wait until a fifth of the table is dead. That says nothing of a table that is
-- nearly always empty. After an outage it means millions of dead rows at the front of the index, which every read has to pass.
ALTER TABLE "outbox" SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 50000
);

-- Which relay may read and publish a bucket, and until when: 64 rows, written by the migration or by the first relay.
CREATE TABLE "outbox_lease" (
    -- 0 to 63.
    "bucket" SMALLINT NOT NULL,
    -- Relay that holds the lease: its outbox_relay.id. NULL: free.
    "owner" UUID,
    -- Raised with every claim: a relay that lost the lease cannot write under an old epoch.
    "epoch" BIGINT NOT NULL DEFAULT 0,
    -- End of the lease, by the clock of the database.
    "leased_until" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    -- Length of the lease in milliseconds. One that ends later than this from now counts as expired: the clock stepped back.
    "lease_ms" INTEGER NOT NULL DEFAULT 10000,
    -- 1: at least once. 2: exactly once. A relay serves leases of its own mode only, and refuses a format that it does not know.
    "format" SMALLINT NOT NULL DEFAULT 1,

    CONSTRAINT "outbox_lease_pkey" PRIMARY KEY ("bucket"),
    CONSTRAINT "outbox_lease_bucket_check" CHECK ("bucket" BETWEEN 0 AND 63),
    -- The longest that a relay takes: a longer one would keep a bucket from all others.
    CONSTRAINT "outbox_lease_lease_ms_check" CHECK ("lease_ms" BETWEEN 1 AND 300000)
);

-- Every lease is renewed every few seconds. Pages that are three quarters empty keep each new row version on the page of the old one
-- (HOT): no index entry, and no vacuum needed to clean up. Four pages in all.
ALTER TABLE "outbox_lease" SET (fillfactor = 25);

-- Relays that are alive: heartbeats, for fair shares and for `status`.
CREATE TABLE "outbox_relay" (
    -- New at each start.
    "id" UUID NOT NULL,
    -- Name of the relay as the operator knows it, host and process by default.
    "name" TEXT NOT NULL,
    -- Version of prisma-extension-outbox that it runs.
    "version" TEXT NOT NULL,
    -- When it started.
    "started_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    -- Last heartbeat.
    "seen_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    -- Last acknowledgement by Kafka. NULL: none since the start.
    "acked_at" TIMESTAMPTZ(6),
    -- When a broker last answered, to any request. NULL: none since the start, or the relay cannot publish.
    "answered_at" TIMESTAMPTZ(6),
    -- Topics and partitions that it cannot serve, with Kafka's name for the reason, at most 20.
    "trouble" JSONB NOT NULL DEFAULT '[]',
    -- The mode that it serves, as in outbox_lease.
    "format" SMALLINT NOT NULL DEFAULT 1,

    CONSTRAINT "outbox_relay_pkey" PRIMARY KEY ("id"),
    -- Relays count by these times.
    CONSTRAINT "outbox_relay_times_check" CHECK (isfinite("started_at") AND isfinite("seen_at") AND isfinite("acked_at"))
);

-- Messages taken out of the way: refused by Kafka for good, or waiting behind such a message of the same topic and key.
CREATE TABLE "outbox_dead_letter" (
    -- As in outbox.
    "bucket" SMALLINT NOT NULL,
    -- As in outbox: a redriven message keeps it, and with it its place.
    "id" BIGINT NOT NULL,
    -- As in outbox.
    "message_id" UUID NOT NULL,
    -- As in outbox.
    "topic" TEXT NOT NULL,
    -- As in outbox.
    "type" TEXT,
    -- As in outbox.
    "key" BYTEA,
    -- As in outbox.
    "value" BYTEA,
    -- As in outbox.
    "headers" JSONB,
    -- As in outbox.
    "created_at" TIMESTAMPTZ(6) NOT NULL,
    -- Why Kafka refused it, as a code. NULL: it waits behind a refused message of its topic and key.
    "reason" TEXT,
    -- The refusal in words.
    "error" TEXT,
    -- When it was taken out of the way.
    "died_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    -- Name of the relay that did it.
    "relay" TEXT NOT NULL,
    -- Whether later messages of its topic and key wait behind it. False: it was refused where the relay goes on with the key.
    "blocks_key" BOOLEAN NOT NULL DEFAULT true,
    -- What the operator asked for: redrive or discard. The relay that owns the bucket carries it out. NULL: nothing.
    "requested_action" TEXT,
    -- Who asked for it: the login of the database, and in parentheses the name that the command gave, user@host.
    "requested_by" TEXT,

    CONSTRAINT "outbox_dead_letter_pkey" PRIMARY KEY ("bucket","id","message_id")
);

-- Relays poll for requests all the time, and must not read every dead message to find none.
CREATE INDEX "outbox_dead_letter_requested_action_bucket_idx" ON "outbox_dead_letter"("requested_action", "bucket");

-- Who asks is who the database knows, whatever the client says. A relay that carries a request on names its author itself.
CREATE FUNCTION "outbox_author"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW."requested_by" := session_user || coalesce(' (' || nullif(left(current_setting('outbox.requested_by', true), 200), '') || ')', '');
    RETURN NEW;
END $$;

CREATE TRIGGER "outbox_dead_letter_request" BEFORE UPDATE OF "requested_action" ON "outbox_dead_letter" FOR EACH ROW
    WHEN (NEW."requested_action" IS NOT NULL AND NEW."requested_action" IS DISTINCT FROM OLD."requested_action" AND NEW."requested_by" IS NOT DISTINCT FROM OLD."requested_by")
    EXECUTE FUNCTION "outbox_author"();

-- Batches on their way to Kafka in the exactly-once mode. One is written before it is sent, and is sent under these numbers only, by any relay.
CREATE TABLE "outbox_batch" (
    -- Kafka's producer id of the batch.
    "producer_id" BIGINT NOT NULL,
    -- Epoch of the producer id.
    "producer_epoch" SMALLINT NOT NULL,
    -- Kafka topic.
    "topic" TEXT NOT NULL,
    -- Partition of the topic.
    "partition" INTEGER NOT NULL,
    -- Sequence of the first record.
    "sequence" INTEGER NOT NULL,
    -- Buckets of its rows, one bit each.
    "buckets" BIGINT NOT NULL,
    -- A mark of its Kafka cluster, a checksum of the message ids, and its rows in their order.
    "rows" BYTEA NOT NULL,
    -- Kafka has it, and a row that somebody has locked keeps it from being deleted: it is not sent any more.
    "acknowledged" BOOLEAN NOT NULL DEFAULT false,
    -- When it was recorded, by the clock of the database, or of its relay if that is an hour behind.
    "recorded_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT "outbox_batch_pkey" PRIMARY KEY ("producer_id","producer_epoch","topic","partition","sequence")
);

-- A row lives for milliseconds: vacuum by number, as for the outbox.
ALTER TABLE "outbox_batch" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- One lease for each bucket. A relay adds those that are missing.
INSERT INTO "outbox_lease" ("bucket") SELECT generate_series(0, 63);

-- For triggers and for services in other languages: outbox_enqueue and outbox_enqueue_bytes. They may do what their caller may do, and their
-- search path is fixed. So they name the schema of the table, which only the database knows here: @schema stands for it.
DO $do$
DECLARE
    home text := (SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = '"outbox"'::regclass);
BEGIN
    EXECUTE replace($sql$
-- Bucket of a key: Java's murmur2 mod 64, in 64 bits, of which the upper 32 are cut off after each step.
CREATE FUNCTION @schema."outbox_bucket"("hashed" bytea) RETURNS smallint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    low CONSTANT bigint := 4294967295;
    m CONSTANT bigint := 1540483477;
    whole CONSTANT integer := length(hashed) / 4 * 4;
    h bigint := 2538058380 # length(hashed)::bigint;
    k bigint;
BEGIN
    FOR i IN 0 .. whole - 4 BY 4 LOOP
        k := get_byte(hashed, i) | (get_byte(hashed, i + 1) << 8) | (get_byte(hashed, i + 2) << 16) | (get_byte(hashed, i + 3)::bigint << 24);
        k := (k * m) & low;
        h := ((h * m) & low) # (((k # (k >> 24)) * m) & low);
    END LOOP;
    FOR i IN REVERSE length(hashed) - 1 .. whole LOOP
        h := h # (get_byte(hashed, i)::bigint << (8 * (i - whole)));
    END LOOP;
    IF whole < length(hashed) THEN
        h := (h * m) & low;
    END IF;
    h := ((h # (h >> 13)) * m) & low;
    RETURN (h # (h >> 15)) & 63;
END $body$;

-- Checks a message as enqueue does, writes it and returns its id. Refusals name the field, never a value.
CREATE FUNCTION @schema."outbox_insert"("topic" text, "key" text, "payload" bytea, "headers" jsonb, "type" text, "lock_key" boolean, "content_type" text)
    RETURNS uuid LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    key_bytes bytea := convert_to(key, 'UTF8');
    own jsonb := coalesce(nullif(headers, 'null'), '{}');
    refusal text[];
    size bigint;
    -- A UUID version 7, of milliseconds and random bits.
    ms text := lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0');
    message_id uuid := left(ms, 8) || '-' || right(ms, 4) || '-7' || substr(gen_random_uuid()::text, 16);
BEGIN
    IF jsonb_typeof(own) <> 'object' THEN
        refusal := ARRAY['headers is not an object.', 'INVALID_HEADER', 'Headers are an object of strings, or NULL.'];
        own := '{}';
    END IF;
    SELECT coalesce(refusal, min(ARRAY[format('headers[%s] %s.', to_json(each.key), fault[1]), 'INVALID_HEADER', fault[2]]) FILTER (WHERE fault IS NOT NULL)),
        coalesce(sum(octet_length(convert_to(each.key || (each.value #>> '{}'), 'UTF8'))), 0) + coalesce(length(key_bytes), 0) + coalesce(length(payload), 0)
    INTO refusal, size
    FROM jsonb_each(own) AS each, LATERAL (SELECT CASE
        WHEN each.key = '' THEN ARRAY['has an empty name', 'Give the header a name.']
        WHEN lower(each.key COLLATE "C") IN ('id', 'type', 'version', 'content-type', 'created-at') THEN
            ARRAY['belongs to the outbox', 'Rename it: the relay writes id, type, version, content-type, created-at.']
        WHEN jsonb_typeof(each.value) <> 'string' THEN ARRAY['is not a string', 'Write the value as a string, or leave the header out.']
    END AS fault) AS judged;
    refusal := CASE
        WHEN topic IS NULL OR topic !~ '^[a-zA-Z0-9._-]{1,249}$' OR topic IN ('.', '..') THEN
            ARRAY['topic is not a name that Kafka takes.', 'INVALID_TOPIC', 'A topic has 1 to 249 characters of a-z, A-Z, 0-9, ".", "_" and "-".']
        WHEN type = '' THEN
            ARRAY['type is empty.', 'INVALID_MESSAGE', 'The type is the name of the event, or NULL.']
        WHEN payload IS NULL AND key IS NULL THEN
            ARRAY['payload is NULL, a tombstone, and the message has no key.', 'INVALID_PAYLOAD', 'Compaction removes by key: give the key.']
        WHEN refusal IS NOT NULL THEN refusal
        WHEN (SELECT count(*) FROM jsonb_object_keys(own)) > 100 THEN
            ARRAY['headers has more than 100 headers.', 'INVALID_HEADER', 'Put the rest into the payload.']
        WHEN size > 900000 THEN
            ARRAY[format('The message has %s bytes, over the limit of 900000.', size), 'MESSAGE_TOO_LARGE', 'Store the data elsewhere and send a reference.']
    END;
    IF refusal IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = refusal[1] || ' [OUTBOX_' || refusal[2] || ']', HINT = refusal[3];
    END IF;
    IF content_type IS NOT NULL THEN
        own := own || jsonb_build_object('content-type', content_type);
    END IF;
    -- As lockKey of enqueue does, before the id is drawn.
    IF lock_key THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(topic COLLATE "C", coalesce(hashtextextended(encode(key_bytes, 'hex') COLLATE "C", home), home)))
        FROM (SELECT '@schema."outbox"'::regclass::oid::bigint) AS outbox (home);
    END IF;
    INSERT INTO @schema."outbox" ("bucket", "message_id", "topic", "type", "key", "value", "headers")
        VALUES (@schema."outbox_bucket"(coalesce(key_bytes, convert_to(topic, 'UTF8'))), message_id, topic, type, key_bytes, payload, nullif(own, '{}'));
    RETURN message_id;
END $body$;

-- Enqueues a message of JSON in the caller's transaction and returns its id. A payload of NULL is a tombstone, and the JSON null is JSON.
CREATE FUNCTION @schema."outbox_enqueue"("topic" text, "key" text, "payload" jsonb, "headers" jsonb DEFAULT NULL, "type" text DEFAULT NULL, "lock_key" boolean DEFAULT false)
    RETURNS uuid LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $body$
    SELECT @schema."outbox_insert"(topic, key, convert_to(payload::text, 'UTF8'), headers, type, lock_key, NULL)
$body$;

-- The same for bytes. It has a name of its own: of two functions of one name PostgreSQL could choose none for a literal or NULL.
CREATE FUNCTION @schema."outbox_enqueue_bytes"("topic" text, "key" text, "payload" bytea, "headers" jsonb DEFAULT NULL, "type" text DEFAULT NULL, "lock_key" boolean DEFAULT false)
    RETURNS uuid LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $body$
    SELECT @schema."outbox_insert"(topic, key, payload, headers, type, lock_key, CASE WHEN payload IS NOT NULL THEN 'application/octet-stream' END)
$body$;
    $sql$, '@schema', home);
END $do$;
