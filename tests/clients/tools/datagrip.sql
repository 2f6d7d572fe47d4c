-- What DataGrip sends; first it asks where it is.
SELECT current_database() AS name, current_schema() AS schema, current_user AS "user", pg_catalog.pg_is_in_recovery() AS standby;

-- the databases
SELECT d.oid::bigint AS id, d.datname AS name, s.description, d.datistemplate AS template, d.datallowconn AS open, pg_catalog.pg_get_userbyid(d.datdba) AS owner FROM pg_catalog.pg_database d LEFT JOIN pg_catalog.pg_shdescription s ON s.objoid = d.oid WHERE d.datname = current_database();

-- the schemas
SELECT n.nspname AS name, n.xmin::text::bigint >= 0 AS numbered, pg_catalog.pg_get_userbyid(n.nspowner) IS NOT NULL AS owned FROM pg_catalog.pg_namespace n WHERE n.nspname IN ('public', 'pg_catalog', 'information_schema') ORDER BY CASE WHEN n.nspname = current_schema() THEN 0 ELSE 1 END, n.nspname;

-- its relations
SELECT c.relkind AS kind, c.relname AS name, c.relpersistence = 'p' AS logged, c.relispopulated AS populated, c.relispartition AS part FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'm', 'v', 'p', 'f') ORDER BY c.relname;

-- their columns
SELECT c.relname AS relation, a.attnum AS position, a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required, a.attisdropped AS dropped, pg_catalog.pg_get_expr(f.adbin, f.adrelid) AS default_value FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum WHERE c.relname IN ('detections', 'cameras', 'cars', 'visits') AND a.attnum > 0 ORDER BY 1, 2;

-- comments
SELECT d.objsubid AS position, d.description FROM pg_catalog.pg_description d JOIN pg_catalog.pg_class c ON c.oid = d.objoid WHERE c.relname IN ('detections', 'visits') ORDER BY c.relname, 1;

-- indexes and keys
SELECT t.relname AS relation, i.relname AS name, x.indisunique AS single, x.indisprimary AS main, x.indnatts AS n_columns, pg_catalog.pg_get_indexdef(x.indexrelid) AS definition FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_class t ON t.oid = x.indrelid WHERE t.relname = 'cameras';

-- what a name stands for
SELECT pg_catalog.to_regclass('public.detections') IS NOT NULL AS there, pg_catalog.to_regclass('public.nothing') IS NOT NULL AS missing;

-- roles
SELECT r.rolname AS name, r.rolsuper AS super, r.rolcanlogin AS login, r.rolinherit AS inherit FROM pg_catalog.pg_roles r WHERE r.rolname = current_user;

-- a console page
SELECT t.* FROM public.detections t ORDER BY frame LIMIT 501;

-- a count of the same
SELECT COUNT(*) FROM public.detections t WHERE score IS NULL;

-- zones
SHOW TIME ZONE;

-- a transaction by hand
BEGIN READ ONLY; SELECT count(*) FROM visits; ROLLBACK;
