-- Tamperings as a superuser does them, triggers and foreign keys switched off,
-- each in a subtransaction that is undone.

-- Another value of this type.
CREATE FUNCTION other_value(type regtype, name text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE format_type(type, NULL)
		WHEN 'uuid' THEN 'gen_random_uuid()'
		WHEN 'text' THEN format('coalesce(%I, '''') || ''x''', name)
		WHEN 'jsonb' THEN format('coalesce(%I, ''{}'') || ''{"forged": true}''', name)
		WHEN 'timestamp with time zone' THEN format('%I + interval ''1 microsecond''', name)
		WHEN 'integer' THEN format('%I + 1', name)
		WHEN 'bigint' THEN format('%I + 1000', name)
		WHEN 'xid8' THEN format('(%I::text::bigint + 1)::text::xid8', name)
		WHEN 'bytea' THEN format('set_bit(%I, %s, 1 - get_bit(%1$I, %2$s))', name, (random() * 255)::integer)
	END
$$;

CREATE FUNCTION tamper(kind text, target usermgmt.audit_event, another usermgmt.audit_event, victim bigint, kept bigint) RETURNS uuid
	LANGUAGE plpgsql AS $$
DECLARE
	name text;
	type regtype;
	forged usermgmt.audit_event := target;
	here CONSTANT text := format(' WHERE tenant_id = %L AND event_id = %L', target.tenant_id, target.event_id);
	there CONSTANT text := format(' WHERE tenant_id = %L AND event_id = %L', another.tenant_id, another.event_id);
BEGIN
	CASE kind
	WHEN 'a column of an event' THEN
		SELECT attname, atttypid INTO name, type FROM pg_attribute
			WHERE attrelid = 'usermgmt.audit_event'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY random() LIMIT 1;
		EXECUTE format('UPDATE usermgmt.audit_event SET %I = %s', name, other_value(type, name)) || here;
	WHEN 'a value taken away' THEN
		SELECT attname INTO name FROM pg_attribute WHERE attrelid = 'usermgmt.audit_event'::regclass AND attnum > 0 AND NOT attnotnull
			AND to_jsonb(target) ->> attname IS NOT NULL ORDER BY random() LIMIT 1;
		EXECUTE format('UPDATE usermgmt.audit_event SET %I = NULL', name) || here;
	WHEN 'a deleted event' THEN
		EXECUTE 'DELETE FROM usermgmt.audit_event' || here;
	WHEN 'an inserted event' THEN
		forged.event_id := overlay(target.event_id::text PLACING substr(gen_random_uuid()::text, 25) FROM 25)::uuid;
		INSERT INTO usermgmt.audit_event SELECT forged.*;
		RETURN forged.event_id;
	WHEN 'two events in each other''s place' THEN
		EXECUTE 'DELETE FROM usermgmt.audit_event' || here;
		EXECUTE format('UPDATE usermgmt.audit_event SET event_id = %L, tenant_id = %L, epoch = %L, transaction_id = %L', target.event_id, target.tenant_id,
			target.epoch, target.transaction_id) || there;
		forged.event_id := another.event_id;
		forged.tenant_id := another.tenant_id;
		forged.epoch := another.epoch;
		forged.transaction_id := another.transaction_id;
		INSERT INTO usermgmt.audit_event SELECT forged.*;
		RETURN NULL;
	WHEN 'an event moved to another transaction' THEN
		EXECUTE format('UPDATE usermgmt.audit_event SET transaction_id = %L', another.transaction_id) || here;
	WHEN 'an event moved to another tenant' THEN
		EXECUTE 'UPDATE usermgmt.audit_event SET tenant_id = (SELECT t.tenant_id FROM usermgmt.tenant AS t WHERE t.tenant_id <> audit_event.tenant_id LIMIT 1)' || here;
	WHEN 'a column of a seal' THEN
		SELECT attname, atttypid INTO name, type FROM pg_attribute WHERE attrelid = 'usermgmt.audit_seal'::regclass AND attnum > 0 AND NOT attisdropped
			AND attname <> 'retired_by' ORDER BY random() LIMIT 1;
		EXECUTE format('UPDATE usermgmt.audit_seal SET %I = %s WHERE seal_no = %s', name, other_value(type, name), victim);
	WHEN 'a removed seal' THEN
		DELETE FROM usermgmt.audit_seal WHERE seal_no = victim;
	WHEN 'events hidden as retired' THEN
		DELETE FROM usermgmt.audit_event WHERE (epoch, transaction_id, event_id) <= (SELECT last_epoch, last_transaction_id, last_event_id FROM usermgmt.audit_seal WHERE seal_no = victim);
		UPDATE usermgmt.audit_seal SET members = NULL, retired_by = another.event_id WHERE seal_no <= victim;
	WHEN 'the tail cut back to the checkpoint' THEN
		DELETE FROM usermgmt.audit_seal WHERE seal_no > kept;
		DELETE FROM usermgmt.audit_event WHERE (epoch, transaction_id, event_id) > (SELECT last_epoch, last_transaction_id, last_event_id FROM usermgmt.audit_seal WHERE seal_no = kept);
	WHEN 'the tail cut below the checkpoint, with its head' THEN
		DELETE FROM usermgmt.audit_seal WHERE seal_no > victim % kept;
		DELETE FROM usermgmt.audit_head;
		INSERT INTO usermgmt.audit_head (seal_no) SELECT victim % kept WHERE victim % kept > 0;
	WHEN 'an event changed and the chain rebuilt' THEN
		EXECUTE 'UPDATE usermgmt.audit_event SET action = ''forged''' || here;
		DELETE FROM usermgmt.audit_seal WHERE seal_no >= victim % kept;
		DELETE FROM usermgmt.audit_head;
		PERFORM usermgmt.audit_seal();
	WHEN 'the head of the chain' THEN
		UPDATE usermgmt.audit_head SET seal_no = seal_no - 1 - victim;
	END CASE;
	RETURN target.event_id;
END $$;

-- Tries each kind in turn: how often, how often it was found, how often the
-- first problem named the event.
CREATE FUNCTION tamper_all(tries integer, checkpoint text, seed integer)
	RETURNS TABLE (kind text, tried integer, found integer, named integer, naming boolean) LANGUAGE plpgsql AS $$
DECLARE
	kinds CONSTANT text[] := ARRAY['a column of an event', 'a value taken away', 'a deleted event', 'an inserted event', 'two events in each other''s place',
		'an event moved to another transaction', 'an event moved to another tenant', 'a column of a seal', 'a removed seal', 'events hidden as retired',
		'the tail cut back to the checkpoint', 'the tail cut below the checkpoint, with its head', 'an event changed and the chain rebuilt', 'the head of the chain'];
	target usermgmt.audit_event;
	another usermgmt.audit_event;
	bad uuid;
	first_bad uuid;
	problems integer;
	kept CONSTANT bigint := substring(checkpoint FROM 'seal=(\d+)');
	now_tried text;
BEGIN
	PERFORM setseed(seed / 1000000.0);
	CREATE TEMPORARY TABLE sealed AS SELECT e.* FROM usermgmt.audit_event AS e
		WHERE (epoch, transaction_id, event_id) <= (SELECT s.last_epoch, s.last_transaction_id, s.last_event_id FROM usermgmt.audit_seal AS s WHERE s.seal_no = kept);
	CREATE TEMPORARY TABLE outcome (kind text, detected boolean, named boolean);
	SET LOCAL session_replication_role = replica;
	FOR n IN 1 .. tries LOOP
		now_tried := kinds[1 + n % array_length(kinds, 1)];
		SELECT * INTO target FROM sealed ORDER BY random() LIMIT 1;
		SELECT * INTO another FROM sealed WHERE transaction_id <> target.transaction_id AND to_jsonb(sealed) - 'event_id' <> to_jsonb(target) - 'event_id' ORDER BY random() LIMIT 1;
		BEGIN
			bad := tamper(now_tried, target, another, 1 + (random() * (kept + 2))::bigint % (kept + 3), kept);
			SELECT count(*), min(p.event_id::text) FILTER (WHERE p.n = 1) INTO problems, first_bad FROM usermgmt.audit_verify() WITH ORDINALITY AS p (seal_no, event_id, problem, n);
			IF problems = 0 THEN
				SELECT count(*) INTO problems FROM usermgmt.audit_verify_checkpoint(checkpoint);
			END IF;
			RAISE EXCEPTION SQLSTATE 'TP000';
		EXCEPTION WHEN SQLSTATE 'TP000' THEN
			INSERT INTO outcome VALUES (now_tried, problems > 0, first_bad = bad);
			IF problems = 0 THEN
				RAISE WARNING 'not found: %, event %', now_tried, target.event_id;
			END IF;
		END;
		IF n % 50 = 0 AND EXISTS (SELECT FROM usermgmt.audit_verify()) THEN
			RAISE EXCEPTION 'false alarm after %', now_tried;
		END IF;
	END LOOP;
	SET LOCAL session_replication_role = origin;
	RETURN QUERY SELECT o.kind, count(*)::integer, (count(*) FILTER (WHERE o.detected))::integer, (count(*) FILTER (WHERE o.named))::integer,
		o.kind IN ('a value taken away', 'a deleted event', 'an inserted event') FROM outcome AS o GROUP BY o.kind ORDER BY o.kind;
END $$;
