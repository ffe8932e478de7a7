-- Rights for four group roles, as few as each needs. Run it once in the application's database, as the owner of the tables; put your
-- own schema in the place of "public". For tables with a prefix, p_ for example, change the names first:
--   sed 's/"public"\."/"public"."p_/g' grants.sql
-- Then make your login roles members:
--   GRANT outbox_app TO my_app;  GRANT outbox_relay TO my_relay;  GRANT outbox_operator TO my_admin;
--
-- Operators who may also read what messages say:
--   GRANT outbox_payload TO my_admin;
-- For the metric outbox_oldest_transaction_seconds, as a superuser:
--   GRANT pg_read_all_stats TO outbox_relay;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['outbox_app', 'outbox_relay', 'outbox_operator', 'outbox_payload'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    EXCEPTION
      -- Roles belong to the whole server: another database has made them already, perhaps at this moment.
      WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA "public" TO outbox_app, outbox_relay, outbox_operator, outbox_payload;

-- The application enqueues: nothing else, and it cannot read what others enqueued. It does not choose ids and times: with an id of its own a
-- row could take those of later messages.
GRANT INSERT ("bucket", "message_id", "topic", "type", "key", "value", "headers") ON "public"."outbox" TO outbox_app;
GRANT USAGE ON SEQUENCE "public"."outbox_id_seq" TO outbox_app;

-- Enqueueing from triggers and other languages, where PUBLIC may not execute functions. They run with the rights of their caller. Tables made
-- by "prisma db push" have no functions.
DO $$
BEGIN
  IF to_regproc('"public"."outbox_enqueue"') IS NOT NULL THEN
    GRANT EXECUTE ON FUNCTION "public"."outbox_enqueue", "public"."outbox_enqueue_bytes", "public"."outbox_insert", "public"."outbox_bucket"
      TO outbox_app;
  END IF;
END $$;

-- The relay reads and deletes messages, leases buckets, and takes dead messages out of the way and back.
GRANT SELECT, INSERT, DELETE ON "public"."outbox" TO outbox_relay;
GRANT SELECT ON SEQUENCE "public"."outbox_id_seq" TO outbox_relay;
GRANT SELECT, INSERT, UPDATE ON "public"."outbox_lease" TO outbox_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."outbox_relay" TO outbox_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."outbox_dead_letter" TO outbox_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."outbox_batch" TO outbox_relay;

-- The operator looks (status, list, show) and writes requests (redrive, discard), which the relays carry out. Who asked is written by the
-- database. Payloads and headers are not among the columns.
GRANT SELECT ON "public"."outbox_lease", "public"."outbox_relay", "public"."outbox_batch" TO outbox_operator;
GRANT SELECT ("bucket", "id", "message_id", "topic", "type", "key", "created_at") ON "public"."outbox" TO outbox_operator;
GRANT SELECT ("bucket", "id", "message_id", "topic", "type", "key", "created_at", "reason", "error", "died_at", "relay", "blocks_key", "requested_action", "requested_by")
    ON "public"."outbox_dead_letter" TO outbox_operator;
GRANT SELECT ON SEQUENCE "public"."outbox_id_seq" TO outbox_operator;
GRANT UPDATE ("requested_action") ON "public"."outbox_dead_letter" TO outbox_operator;

-- For show --payload, and the sizes of messages; beside the rights of the operator.
GRANT SELECT ("value", "headers") ON "public"."outbox", "public"."outbox_dead_letter" TO outbox_payload;

-- Where the tables of consumers are too: the operator lists dead-lettered messages, and asks for a redrive or discard.
DO $$
BEGIN
  IF to_regclass('"public"."inbox_dead_letter"') IS NOT NULL THEN
    GRANT SELECT ("consumer", "identity", "arrival", "topic", "partition", "offset", "message_id", "type", "key", "reason", "error", "attempts",
      "died_at", "requested_action", "requested_by") ON "public"."inbox_dead_letter" TO outbox_operator;
    GRANT UPDATE ("requested_action") ON "public"."inbox_dead_letter" TO outbox_operator;
    GRANT SELECT ("value", "headers") ON "public"."inbox_dead_letter" TO outbox_payload;
  END IF;
END $$;
