-- prisma-extension-outbox, tables of consumers
--
-- The tables are those of the models in inbox.prisma, in the words that Prisma itself would use, so that Prisma sees no drift.

-- A message that a consumer has taken care of: applied, or dead-lettered. Its presence is what makes a second copy have no effect.
CREATE TABLE "inbox" (
    -- Name of the consumer: each has its own effects, and so its own rows.
    "consumer" TEXT NOT NULL,
    -- Identity of the message, the same in every copy: the Kafka header `id`. Of a dead-lettered record without one: its identity in inbox_dead_letter.
    "message_id" UUID NOT NULL,
    -- When it was applied or dead-lettered, by the clock of the database. Rows older than the retention are pruned.
    "processed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT "inbox_pkey" PRIMARY KEY ("consumer","message_id")
);

-- Pruning reads the oldest rows of a consumer only.
CREATE INDEX "inbox_consumer_processed_at_idx" ON "inbox"("consumer", "processed_at");

-- Messages that a consumer has put aside: those that it could not apply, and later ones of the same topic and key behind them.
CREATE TABLE "inbox_dead_letter" (
    -- As in inbox.
    "consumer" TEXT NOT NULL,
    -- Identity of the record: its message id. A record without one has a UUID made of topic, partition, offset, timestamp, key and value.
    "identity" UUID NOT NULL,
    -- Counts the dead-lettered messages in the order in which they arrived: the order of the messages of a key.
    "arrival" BIGSERIAL NOT NULL,
    -- Kafka topic that it was read from.
    "topic" TEXT NOT NULL,
    -- Its partition.
    "partition" INTEGER NOT NULL,
    -- Its offset. No identity: offsets start again in a recreated topic and in another cluster.
    "offset" BIGINT NOT NULL,
    -- As in inbox. NULL: the record has no `id` header, or one that is no UUID.
    "message_id" UUID,
    -- Kafka header `type`.
    "type" TEXT,
    -- Kafka key, byte for byte. NULL: a message without a key, behind which nothing waits.
    "key" BYTEA,
    -- Kafka value, byte for byte. NULL: a tombstone.
    "value" BYTEA,
    -- Kafka headers, one flat object of strings.
    "headers" JSONB NOT NULL,
    -- Why it was dead-lettered, as a code. NULL: it waits behind another of its topic and key.
    "reason" TEXT,
    -- The failure in words.
    "error" TEXT,
    -- How many times the handler was tried.
    "attempts" INTEGER NOT NULL DEFAULT 0,
    -- When it was dead-lettered.
    "died_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    -- What the operator asked for: redrive or discard. The consumer carries it out. NULL: nothing.
    "requested_action" TEXT,
    -- Who asked for it: the login of the database, and in parentheses the name that the command gave, user@host.
    "requested_by" TEXT,

    CONSTRAINT "inbox_dead_letter_pkey" PRIMARY KEY ("consumer","identity")
);

-- Every message asks whether its key is dead-lettered. A hash index takes keys of any length.
CREATE INDEX "inbox_dead_letter_key_idx" ON "inbox_dead_letter" USING HASH ("key");

-- Consumers poll for requests all the time, and must not read every dead-lettered message to find none.
CREATE INDEX "inbox_dead_letter_consumer_requested_action_idx" ON "inbox_dead_letter"("consumer", "requested_action");

-- Who asks is who the database knows, whatever the client says. A consumer that carries a request on names its author itself.
CREATE FUNCTION "inbox_author"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW."requested_by" := session_user || coalesce(' (' || nullif(left(current_setting('outbox.requested_by', true), 200), '') || ')', '');
    RETURN NEW;
END $$;

CREATE TRIGGER "inbox_dead_letter_request" BEFORE UPDATE OF "requested_action" ON "inbox_dead_letter" FOR EACH ROW
    WHEN (NEW."requested_action" IS NOT NULL AND NEW."requested_action" IS DISTINCT FROM OLD."requested_action" AND NEW."requested_by" IS NOT DISTINCT FROM OLD."requested_by")
    EXECUTE FUNCTION "inbox_author"();

-- How far a projection has come: written in the transaction that changes the read model.
CREATE TABLE "inbox_projection" (
    -- Name of the projection. A rebuild has a new one.
    "name" TEXT NOT NULL,
    -- Kafka topic.
    "topic" TEXT NOT NULL,
    -- Its partition.
    "partition" INTEGER NOT NULL,
    -- Offset of the first record that is not applied yet.
    "next_offset" BIGINT NOT NULL,
    -- Kafka's id of the topic, as its tools show it: a topic that is created again has another one. NULL: the brokers have no ids.
    "topic_id" TEXT,
    -- When it was moved last.
    "moved_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT "inbox_projection_pkey" PRIMARY KEY ("name","topic","partition")
);
