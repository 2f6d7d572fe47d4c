-- What DBeaver sends; first the array types that it looks up before it reads arrays in binary.
SELECT t.oid, t.typname, t.typelem, e.typname AS element, e.typdelim FROM pg_catalog.pg_type t JOIN pg_catalog.pg_type e ON e.oid = t.typelem WHERE t.typname IN ('_bool', '_int4', '_int8', '_float8', '_text', '_timestamptz', '_numeric') ORDER BY t.oid;

-- arrays of the types that columns have
SELECT ARRAY[1, 2, NULL]::int8[] AS a, ARRAY['a', 'b,c', '"']::text[] AS b, ARRAY[true, false] AS c, ARRAY[0.5, 1]::float8[] AS d, ARRAY['2026-01-02 03:04:05+00']::timestamptz[] AS e, '{}'::int4[] AS f;

-- arrays of a query
SELECT camera, array_agg(frame ORDER BY frame) AS frames, array_agg(label ORDER BY frame) AS labels FROM detections WHERE frame < 12 GROUP BY camera ORDER BY camera;

-- a table's columns
SELECT c.relname, a.attname, a.attnum, a.attnotnull, format_type(a.atttypid, a.atttypmod) AS full_type, a.atttypid, d.description FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid LEFT JOIN pg_catalog.pg_description d ON d.objoid = a.attrelid AND d.objsubid = a.attnum WHERE NOT a.attisdropped AND c.oid = 'public.detections'::regclass AND a.attnum > 0 ORDER BY a.attnum;

-- relations of the schema
SELECT c.relname, c.relkind, c.relpersistence, pg_get_userbyid(c.relowner) AS owner, d.description FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm') ORDER BY c.relname;

-- keys
SELECT c.conname, c.contype, c.conkey, pg_get_constraintdef(c.oid) AS definition FROM pg_catalog.pg_constraint c WHERE c.conrelid = 'public.cameras'::regclass ORDER BY c.conname;

-- the first rows of a table
SELECT x.* FROM public.cameras x ORDER BY id LIMIT 200;

-- how many there are
SELECT count(*) FROM public.detections x;

-- the schema and the user
SELECT current_schema() AS schema, current_user AS "user", current_database() AS database;
