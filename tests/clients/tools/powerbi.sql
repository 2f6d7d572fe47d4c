-- What Power BI sends; first the types, as Npgsql loads them: type, element, range and the function that reads them.
SELECT n.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.typlen, e.oid AS element, p.proname = 'array_recv' AS listed FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace JOIN pg_catalog.pg_proc AS p ON p.oid = t.typreceive LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem LEFT JOIN pg_catalog.pg_range AS r ON r.rngtypid = t.oid WHERE t.typname IN ('bool', 'bytea', 'int2', 'int4', 'int8', 'float4', 'float8', 'numeric', 'text', 'varchar', 'bpchar', 'date', 'time', 'timestamp', 'timestamptz', 'interval', 'uuid', 'jsonb', '_int8', '_text', '_float8', '_timestamptz') ORDER BY t.oid;

-- ranges and what they are of
SELECT t.typname, r.rngsubtype FROM pg_catalog.pg_range AS r JOIN pg_catalog.pg_type AS t ON t.oid = r.rngtypid ORDER BY t.typname;

-- composite types of the user, which are none
SELECT t.oid, a.attname, a.atttypid FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.typrelid WHERE t.typtype = 'c' AND c.relkind = 'c' AND n.nspname = 'public' AND a.attnum > 0 ORDER BY t.oid, a.attnum;

-- enums with their labels
SELECT t.oid, e.enumlabel FROM pg_catalog.pg_enum AS e JOIN pg_catalog.pg_type AS t ON t.oid = e.enumtypid ORDER BY t.oid, e.enumsortorder;

-- a connection goes back to the pool
DISCARD ALL;

-- what a report sets
SET application_name = 'report';

-- and a cursor that it leaves open
BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT camera FROM detections; COMMIT;

-- are gone with it
DISCARD ALL;

-- the setting
SHOW application_name;

-- the cursor
FETCH c;

-- a transaction
BEGIN;

-- refuses it
DISCARD ALL;

-- until it ends
ROLLBACK;

-- the navigator: tables and views
SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema NOT IN ('information_schema', 'pg_catalog', 'framesql') AND table_name <> 'visits' ORDER BY table_schema, table_name;

-- the columns of one
SELECT column_name, ordinal_position, is_nullable, data_type, CASE WHEN data_type LIKE '%unsigned%' THEN 1 ELSE 0 END AS no_sign FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'detections' ORDER BY table_schema, table_name, ordinal_position;

-- how it is written
SELECT character_set_name FROM information_schema.character_sets;

-- keys that others refer to
SELECT k.column_name, k.constraint_name, k.ordinal_position FROM information_schema.key_column_usage AS k JOIN information_schema.table_constraints AS c ON c.constraint_name = k.constraint_name WHERE c.constraint_type IN ('PRIMARY KEY', 'UNIQUE') AND k.table_name = 'cameras' ORDER BY 2, 3;

-- a preview
SELECT "$Table"."camera" AS "camera", "$Table"."ts" AS "ts", "$Table"."frame" AS "frame", "$Table"."x" AS "x", "$Table"."score" AS "score", "$Table"."label" AS "label" FROM "public"."detections" "$Table" ORDER BY 3 LIMIT 1000 OFFSET 0;

-- a folded step: filter, group, sort
SELECT "rows"."camera" AS "camera", count(1) AS "Count", sum("rows"."score") AS "Total", avg("rows"."x") AS "Mean" FROM (SELECT "_"."camera", "_"."score", "_"."x" FROM "public"."detections" "_" WHERE "_"."label" = 'car' AND "_"."label" IS NOT NULL) "rows" GROUP BY "camera" ORDER BY "camera" LIMIT 1000001;

-- a condition on a time
SELECT "_"."frame" FROM "public"."detections" "_" WHERE "_"."ts" >= '2026-01-02 20:00:00+00'::timestamptz AND "_"."ts" < '2026-01-03 02:00:00+00'::timestamptz ORDER BY "_"."frame";

-- columns that are computed
SELECT "_"."frame", "_"."x" + 1 AS "right", "_"."x" * 2 AS "twice", "_"."score" * 100 AS "percent", "_"."frame" % 3 AS "third" FROM "public"."detections" "_" ORDER BY 1 LIMIT 8;
