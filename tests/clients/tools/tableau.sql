-- What Tableau sends; first the transaction around a cursor.
BEGIN;

-- a cursor that outlives it
DECLARE "SQL_CUR7" CURSOR WITH HOLD FOR SELECT "detections"."camera" AS "camera", "detections"."ts" AS "ts", "detections"."frame" AS "frame", "detections"."score" AS "score" FROM "public"."detections" "detections" ORDER BY 3;

-- what it fetches
FETCH 2048 IN "SQL_CUR7";

-- until there is nothing more
FETCH 2048 IN "SQL_CUR7";

-- the end of the transaction
COMMIT;

-- the cursor is still there
FETCH 2048 IN "SQL_CUR7";

-- and goes
CLOSE "SQL_CUR7";

-- a cursor of another transaction, whose rows are kept at its end
BEGIN; DECLARE "SQL_CUR8" CURSOR WITH HOLD FOR SELECT n, place FROM visits ORDER BY window_start; FETCH 5 IN "SQL_CUR8"; COMMIT; FETCH 2048 IN "SQL_CUR8"; CLOSE "SQL_CUR8";

-- a cursor that is gone
FETCH 1 IN "SQL_CUR8";

-- a measure by a dimension
SELECT "detections"."camera" AS "camera", SUM("detections"."score") AS "sum:score:ok" FROM "public"."detections" "detections" GROUP BY 1 ORDER BY 1;

-- the number of rows
SELECT SUM(1) AS "cnt:ok" FROM "public"."detections" "detections" HAVING (COUNT(1) > 0);

-- how many of each
SELECT "detections"."label" AS "label", COUNT(1) AS "cnt", COUNT(DISTINCT "detections"."camera") AS "ctd:camera:ok" FROM "public"."detections" "detections" GROUP BY 1 ORDER BY 1;

-- parts of a date
SELECT CAST(TRUNC(EXTRACT(YEAR FROM "detections"."ts")) AS INTEGER) AS "yr", CAST(TRUNC(EXTRACT(MONTH FROM "detections"."ts")) AS INTEGER) AS "mn", CAST(TRUNC(EXTRACT(DAY FROM "detections"."ts")) AS INTEGER) AS "dy", SUM("detections"."frame") AS "sum" FROM "public"."detections" "detections" GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- a date without its time
SELECT DATE_TRUNC('DAY', CAST("detections"."ts" AS TIMESTAMP)) AS "tdy", MIN("detections"."x") AS "min" FROM "public"."detections" "detections" GROUP BY 1 ORDER BY 1;

-- a filter of dates and words
SELECT "detections"."frame" AS "frame" FROM "public"."detections" "detections" WHERE (("detections"."camera" IN ('gate', 'yard')) AND ("detections"."ts" >= (TIMESTAMP '2026-01-02 03:00:00')) AND ("detections"."ts" < (TIMESTAMP '2026-01-02 12:00:00'))) ORDER BY 1;

-- conditions as columns
SELECT (CASE WHEN "detections"."score" > 0.5 THEN 'sure' ELSE 'not' END) AS "calculation", (CASE WHEN "detections"."label" IS NULL THEN 0 ELSE 1 END) AS "labelled", COUNT(1) AS "cnt" FROM "public"."detections" "detections" GROUP BY 1, 2 ORDER BY 1, 2;

-- the extremes of a filter
SELECT MIN("detections"."ts") AS "TEMP(min)", MAX("detections"."ts") AS "TEMP(max)", COUNT("detections"."ts") AS "TEMP(n)" FROM "public"."detections" "detections" HAVING (COUNT(1) > 0);

-- a query without rows, which tells the columns
SELECT * FROM (SELECT camera, ts, x, score, label IS NULL AS unlabelled FROM detections) "Custom SQL Query" LIMIT 0;
