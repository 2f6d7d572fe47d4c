-- What Metabase sends; first what its pool asks of a new connection.
SHOW TRANSACTION ISOLATION LEVEL;

-- and sets
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;

-- its own transaction
BEGIN; SELECT count(*) FROM cameras; COMMIT;

-- primary keys, as the driver of JDBC finds them
SELECT n.nspname AS table_schem, t.relname AS table_name, a.attname AS column_name, k.place AS key_seq, i.relname AS pk_name FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid JOIN (SELECT indexrelid, indrelid, (information_schema._pg_expandarray(indkey)).n AS place, (information_schema._pg_expandarray(indkey)).x AS at FROM pg_catalog.pg_index WHERE indisprimary) k ON k.indrelid = t.oid AND k.at = a.attnum JOIN pg_catalog.pg_class i ON i.oid = k.indexrelid WHERE t.relname = 'cameras' ORDER BY table_name, pk_name, key_seq;

-- primary keys in the standard's words
SELECT c.table_schema, c.table_name, k.column_name, k.ordinal_position FROM information_schema.table_constraints c JOIN information_schema.key_column_usage k ON k.constraint_name = c.constraint_name AND k.table_schema = c.table_schema WHERE c.constraint_type = 'PRIMARY KEY' AND c.table_schema = 'public' ORDER BY 1, 2, 4;

-- enums: there are none
SELECT n.nspname, t.typname, e.enumlabel FROM pg_catalog.pg_type t JOIN pg_catalog.pg_enum e ON e.enumtypid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace ORDER BY 1, 2, e.enumsortorder;

-- foreign keys: there are none
SELECT c.conname, r.relname FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = c.confrelid WHERE c.contype = 'f';

-- columns of a table, with comments
SELECT a.attname AS name, a.atttypid AS database_type, a.attnotnull AS required, a.attnum - 1 AS database_position, d.description AS remarks FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_description d ON d.objoid = a.attrelid AND d.objsubid = a.attnum WHERE a.attrelid = '"public"."detections"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

-- fingerprints: a sample
SELECT "public"."detections"."camera" AS "camera", "public"."detections"."ts" AS "ts", "public"."detections"."score" AS "score" FROM "public"."detections" ORDER BY "ts" LIMIT 25;

-- a question by month
SELECT DATE_TRUNC('month', "public"."detections"."ts") AS "ts", COUNT(*) AS "count" FROM "public"."detections" GROUP BY DATE_TRUNC('month', "public"."detections"."ts") ORDER BY DATE_TRUNC('month', "public"."detections"."ts") ASC;

-- a question by hour of day, filtered
SELECT CAST(EXTRACT(hour FROM "public"."detections"."ts") AS integer) AS "ts", AVG("public"."detections"."score") AS "avg", COUNT(DISTINCT "public"."detections"."label") AS "count" FROM "public"."detections" WHERE ("public"."detections"."ts" >= timestamp with time zone '2026-01-02 00:00:00.000Z') AND ("public"."detections"."ts" < timestamp with time zone '2026-01-03 00:00:00.000Z') GROUP BY CAST(EXTRACT(hour FROM "public"."detections"."ts") AS integer) ORDER BY 1 ASC;

-- bins
SELECT FLOOR(("public"."detections"."score" / 0.25)) * 0.25 AS "score", COUNT(*) AS "count" FROM "public"."detections" GROUP BY FLOOR(("public"."detections"."score" / 0.25)) * 0.25 ORDER BY 1 ASC;

-- sums of all kinds of numbers
SELECT SUM("public"."detections"."frame") AS "sum", SUM("public"."detections"."x") AS "sum_2", SUM("public"."detections"."score") AS "sum_3", MAX("public"."detections"."ts") AS "max", COUNT("public"."detections"."label") AS "count" FROM "public"."detections";

-- a search in texts
SELECT "source"."label" AS "label", COUNT(*) AS "count" FROM (SELECT "public"."detections"."label" AS "label" FROM "public"."detections") AS "source" WHERE LOWER("source"."label") LIKE '%s%' GROUP BY "source"."label" ORDER BY "source"."label" ASC LIMIT 2000;

-- the view over the clip
SELECT "public"."visits"."keyed" AS "keyed", SUM("public"."visits"."n") AS "sum" FROM "public"."visits" GROUP BY "public"."visits"."keyed" ORDER BY "public"."visits"."keyed" ASC;
